"""
What vendors send: the examples of ``tests/testdata/callbacks``, and callbacks that are signed here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

from exporter.vendors import APIS
from exporter.vendors.callbacks import Change, Event, Hint, Refusal, Request
from exporter.vendors.source import Source
from tests.deploy.project import ROOT
from tests.vendors.examples import source

NOW: Final = 1_700_000_000
SECRET: Final = "callback-secret-0123456789"
USER: Final = "user-of-the-room-8812"
"""Stands where vendors name users, and must be seen nowhere."""
APPS: Final[dict[str, Any]] = {
    "zego_rtc": 1,
    "zego_zim": 1,
    "tencent_im": 1_400_000_000,
    "tencent_live": 1_400_000_000,
    "volcengine_rtc": "661e000000000000000543cf",
}


@dataclass(frozen=True, slots=True)
class Callback:
    """
    One request of a vendor's, and what it means: a hint, a refusal, or nothing.
    """

    api: str
    name: str
    body: bytes
    query: str = ""
    content_type: str = "application/json"
    secret: str = SECRET
    app: Any = None
    now: float = NOW
    hint: Hint | None = None
    refusal: Refusal | None = None

    def __str__(self) -> str:
        return f"{self.api}: {self.name}"

    def read(self, *secrets: str, max_age: float | None = None) -> Event | Refusal:
        """
        What the codec makes of it.
        """
        callbacks = APIS[self.api].callbacks
        assert callbacks
        return callbacks.read(
            source_of(self.api, self.app or APPS[self.api]),
            secrets or (self.secret,),
            Request(self.query, {}, self.body),
            max_age=callbacks.default_max_age if max_age is None else max_age,
            now=self.now,
        )


def source_of(api: str, app: Any) -> Source:
    """
    A source of this app.
    """
    return source(api, **{"sdk_app_id" if api.startswith("tencent") else "app_id": str(app)})


def examples() -> list[Callback]:
    """
    Those of the files.
    """
    rows = [
        row
        for path in sorted((ROOT / "tests/testdata/callbacks").glob("*.json"))
        for row in json.loads(path.read_text(encoding="utf-8"))
    ]
    return [_example(**row) for row in rows]


def _example(body: str, hint: dict[str, Any] | None = None, refusal: str | None = None, **row: Any) -> Callback:
    return Callback(
        **row,
        body=body.encode(),
        hint=Hint(**{**hint, "change": Change(hint["change"])}) if hint else None,
        refusal=Refusal(refusal) if refusal else None,
    )


def zego(api: str = "zego_rtc", secret: str = SECRET, **fields: Any) -> Callback:
    """
    A callback of ZEGO's with these fields instead of the usual ones; ``None`` leaves one out.
    """
    document: dict[str, Any] = {
        "event": "room_create",
        "appid": 1,
        "timestamp": NOW,
        "nonce": "350176",
        "room_id": "lobby",
        "user_account": USER,
        **fields,
    }
    signed = sorted(_bytes(secret, document["timestamp"], document["nonce"]))
    document.setdefault("signature", hashlib.sha1(b"".join(signed), usedforsecurity=False).hexdigest())
    return Callback(api, "made here", _json(document), secret=secret)


def tencent(
    command: str = "Live.CallbackAfterDestroyRoom",
    secret: str = SECRET,
    query: dict[str, Any] | None = None,
    **fields: Any,
) -> Callback:
    """
    A callback of Tencent's with these fields instead of the usual ones; ``None`` leaves one out.
    """
    api = "tencent_im" if command.startswith("Group.") else "tencent_live"
    parameters: dict[str, Any] = {
        "SdkAppid": APPS[api],
        "CallbackCommand": command,
        "contenttype": "json",
        "RequestTime": NOW,
        **(query or {}),
    }
    parameters.setdefault(
        "Sign", hashlib.sha256(f"{secret}{parameters['RequestTime']}".encode(errors="surrogatepass")).hexdigest()
    )
    document = {
        "CallbackCommand": command,
        "GroupId" if api == "tencent_im" else "RoomId": "lobby",
        "Type": "AVChatRoom" if api == "tencent_im" else None,
        "Operator_Account": USER,
        **fields,
    }
    return Callback(api, "made here", _json(document), query=_query(parameters), secret=secret)


def volcengine(secret: str = SECRET, nonce: str = "Nonce", **fields: Any) -> Callback:
    """
    A callback of Volcengine's with these fields instead of the usual ones; ``None`` leaves one out.
    """
    document: dict[str, Any] = {
        "EventType": "UserJoinRoom",
        "EventData": json.dumps({"RoomId": "lobby", "UserId": USER}),
        "EventTime": "2023-11-14T22:13:20Z",
        "EventId": "ev-1",
        "AppId": APPS["volcengine_rtc"],
        "Version": "2020-12-01",
        nonce: "1234",
        **fields,
    }
    signed = sorted(
        str(part).encode(errors="surrogatepass") for part in (secret, *document.values()) if part is not None
    )
    document.setdefault("Signature", hashlib.sha256(b"".join(signed)).hexdigest())
    return Callback("volcengine_rtc", "made here", _json(document), secret=secret)


def of(api: str, number: int = 0, secret: str = SECRET) -> Callback:
    """
    The callback of this number: of another room each, and unlike any other.
    """
    room = f"room-{number}"
    match api:
        case "tencent_im":
            return tencent("Group.CallbackAfterCreateGroup", secret, GroupId=room)
        case "tencent_live":
            return tencent("Live.CallbackAfterDestroyRoom", secret, RoomId=room)
        case "volcengine_rtc":
            data = json.dumps({"RoomId": room, "UserId": USER})
            return volcengine(secret, EventData=data, EventId=f"ev-{number}")
        case _:
            return zego(api, secret, room_id=room, nonce=f"{number}")


def edited(callback: Callback, **changes: Any) -> Callback:
    """
    The same with other bytes.
    """
    return replace(callback, **changes)


def _bytes(*parts: Any) -> list[bytes]:
    return [str(part).encode(errors="surrogatepass") for part in parts if part is not None]


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps({key: value for key, value in document.items() if value is not None}).encode()


def _query(parameters: dict[str, Any]) -> str:
    return urlencode({key: value for key, value in parameters.items() if value is not None})
