"""Money goes from one account to another, or it stays where it is.

flask --app ledger create && flask --app ledger run
"""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from flask import Blueprint
from flask import Flask
from flask import abort
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import CheckConstraint
from sqlalchemy import ForeignKey
from sqlalchemy import event
from sqlalchemy import select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm import relationship

from flask_scopes import CommitFailed
from flask_scopes import Scopes
from flask_scopes.sqlalchemy import SQL
from flask_scopes.sqlalchemy import get_or_404

scopes = Scopes()
sql = SQL(scopes)


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(unique=True)
    balance: Mapped[int] = mapped_column(CheckConstraint("balance >= 0"))  # in cents


class Transfer(Base):
    __tablename__ = "transfers"
    id: Mapped[int] = mapped_column(primary_key=True)
    # Chosen by who sends it. Whoever hears no answer sends it again, and pays once.
    reference: Mapped[str] = mapped_column(unique=True)
    source_id: Mapped[int] = mapped_column(ForeignKey(Account.id))
    target_id: Mapped[int] = mapped_column(ForeignKey(Account.id))
    amount: Mapped[int] = mapped_column(CheckConstraint("amount > 0"))
    source: Mapped[Account] = relationship(foreign_keys=source_id)
    target: Mapped[Account] = relationship(foreign_keys=target_id)


pages = Blueprint("pages", __name__, cli_group=None)


@pages.get("/")
@scopes.read_only
def show() -> str:
    session = sql.session()
    return render_template(
        "ledger.html",
        accounts=session.scalars(select(Account).order_by(Account.owner)).all(),
        transfers=session.scalars(
            select(Transfer).order_by(Transfer.id.desc()).limit(8)
        ).all(),
        reference=uuid4().hex,
    )


@pages.post("/transfers")
@scopes.retry(20)  # two at a time on one account: one of them begins anew
def transfer() -> ResponseReturnValue:
    form, session = request.form, sql.session()
    done = redirect(url_for("pages.show"), 303)
    sent = select(Transfer).where(Transfer.reference == form["reference"])
    if session.scalars(sent).first():
        return done
    source = get_or_404(session, Account, form["source"])
    target = get_or_404(session, Account, form["target"])
    amount = cents(form["amount"])
    if source is target:
        abort(422, "Choose two accounts.")
    if amount > source.balance:
        abort(409, f"{source.owner} does not have that much.")
    source.balance -= amount
    target.balance += amount
    session.add(
        Transfer(
            reference=form["reference"], source=source, target=target, amount=amount
        )
    )
    return done  # which leaves when all of it is committed


def cents(text: str) -> int:
    whole, _, part = text.strip().partition(".")
    digits = f"{whole}{part:0<2}"
    is_number = digits.isascii() and digits.isdigit() and len(digits) < 12
    if not is_number or len(part) > 2 or int(digits) == 0:
        abort(422, "An amount is a number such as 12.50.")
    return int(digits)


@pages.app_errorhandler(CommitFailed)
def not_kept(error: CommitFailed) -> ResponseReturnValue:
    return "Nothing was transferred. Please try again.", 503


@pages.cli.command("create")
def create() -> None:
    """Make the tables, and four accounts with 100.00 each."""
    Base.metadata.create_all(sql.engine())
    if not sql.session().scalars(select(Account)).first():
        for owner in ("Ada", "Blaise", "Carl", "Dorothy"):
            sql.session().add(Account(owner=owner, balance=100_00))


@event.listens_for(Engine, "connect")
def let_read_while_somebody_writes(connection: Any, record: object) -> None:
    if type(connection).__module__ == "sqlite3":
        connection.execute("PRAGMA journal_mode = WAL")


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(
        SQLALCHEMY_URL="sqlite:///ledger.db",
        SQLALCHEMY_ENGINE_OPTIONS={"isolation_level": "SERIALIZABLE"},
    )
    app.config.from_prefixed_env()  # FLASK_SQLALCHEMY_URL=postgresql+psycopg://...
    app.config.update(config or {})
    app.jinja_env.filters["money"] = lambda number: f"{number // 100}.{number % 100:02}"
    app.register_blueprint(pages)
    scopes.init_app(app)
    return app
