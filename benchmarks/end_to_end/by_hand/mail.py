"""Letters to those who write. No post office is near: they wait in a folder."""

from email.message import EmailMessage
from pathlib import Path

from bson import ObjectId
from flask import current_app


def send(to: str, subject: str, text: str) -> None:
    letter = EmailMessage()
    letter["To"] = to
    letter["Subject"] = subject
    letter.set_content(text, cte="8bit")  # so that a link can be read in the file
    folder = Path(current_app.instance_path, "outbox")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{ObjectId()}.eml").write_bytes(bytes(letter))
