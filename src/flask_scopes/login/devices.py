"""The devices of a user: sessions on the server, and cookies that make new ones.

A session that a remembered device has begun has the id of that device among its values.
So what ends the one ends the other.
"""

from __future__ import annotations

import json
import threading
import typing as t

from .. import clock
from ..sessions import Device

if t.TYPE_CHECKING:
    from ..sessions import ServerSessions
    from .records import Record
    from .remember import Devices

_REMEMBERED: t.Final = "_remembered"
# Before the id of a device that has no session now.
_PREFIX: t.Final = "device:"


class SessionsAndDevices:
    """Both, as far as there are any; lives as long as the program."""

    def __init__(
        self, sessions: ServerSessions | None, devices: Devices | None
    ) -> None:
        self._sessions = sessions
        self._devices = devices
        self._ending = threading.local()
        if sessions is not None and devices is not None:
            sessions.on_revoke(self._forget)

    def of(self, user: str, here: str | None = None) -> list[Device]:
        """The devices of *user*, last used first.

        :param here: the one that this request comes from, if it is remembered.
        """
        found = self._sessions.of(user) if self._sessions else []
        if self._devices is not None:
            with_session = set(self._devices_of([each.id for each in found]).values())
            for record in self._devices.of(user):
                device = record.id.removeprefix(_PREFIX)
                if device not in with_session:
                    found.append(_device(record, is_here=device == here))
        return sorted(found, key=lambda each: (each.seen, each.created), reverse=True)

    def end(self, user: str, device_id: str) -> bool:
        """End one of them, if it is of *user*."""
        if device_id not in {each.id for each in self.of(user)}:
            return False
        if device_id.startswith(_PREFIX) and self._devices is not None:
            return self._devices.forget([device_id.removeprefix(_PREFIX)]) > 0
        return self._sessions is not None and self._sessions.revoke(device_id)

    def end_sessions(self, user: str, device: str) -> None:
        """End the sessions that a remembered *device* of *user* has begun, but for the
        one of this request.
        """
        if self._sessions is None:
            return
        ids = [each.id for each in self._sessions.of(user) if not each.current]
        begun = self._devices_of(ids)
        # What becomes of the device, the caller decides.
        self._ending.device = device
        try:
            for session_id in [each for each in ids if begun.get(each) == device]:
                self._sessions.revoke(session_id)
        finally:
            self._ending.device = None

    def _devices_of(self, session_ids: list[str]) -> dict[str, str]:
        """By the ids of sessions, the devices that have begun them, if any have."""
        found: dict[str, str] = {}
        for each in session_ids if self._sessions else ():
            row = self._sessions.value(each, _REMEMBERED) if self._sessions else None
            if row is not None:
                found[each] = str(json.loads(row))
        return found

    def _forget(self, user: str | None, ended: list[str], but: str | None) -> None:
        """Sessions are about to be ended: all of a *user*, *but* for one; or some."""
        devices = t.cast("Devices", self._devices)
        if user is None:
            found = set(self._devices_of(ended).values())
            devices.forget(found - {getattr(self._ending, "device", None)})
        else:
            stays = self._devices_of([but]).get(but) if but else None
            devices.forget_all(user, but=stays)


def _device(record: Record, *, is_here: bool) -> Device:
    data = record.data
    return Device(
        id=record.id,
        created=clock.date_of(data["created"]),
        seen=clock.date_of(data["seen"]),
        agent=data["agent"],
        address=data["address"],
        current=is_here,
    )
