"""Janus: the admin API of a server whose video room plugin lists every room in one reply."""

import hmac
from collections.abc import Mapping

import msgspec

from exporter.simulator.apps import Credentials, JanusServer
from exporter.simulator.codes import CODES
from exporter.simulator.exchange import Answered, Ask, Received, Refusal, Reply
from exporter.simulator.outlook import Outlook

_API = "janus_videoroom"
_PLUGIN = "janus.plugin.videoroom"
_OF_THE_PLUGIN = range(420, 450)
"""Its own codes come inside a reply that is a success to the server; 499 as well."""

_ROOM = {
    "pin_required": False,
    "is_private": False,
    "max_publishers": 3,
    "bitrate": 0,
    "fir_freq": 0,
    "require_pvtid": False,
    "require_e2ee": False,
    "dummy_publisher": False,
    "notify_joining": False,
    "audiocodec": "opus",
    "videocodec": "vp8",
    "opus_fec": True,
    "record": False,
    "lock_record": False,
}


class JanusGateway:
    """
    Each server has a path of its own here. Ids that are numbers are written as such, others as text, as on servers
    with ``string_ids``; no real server has both kinds.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def read(self, received: Received) -> Ask | None:
        """Everything on a path of a server's admin API; on another one its web server has 404."""
        if received.path not in self._credentials.janus:
            return None
        try:
            document = msgspec.json.decode(received.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            document = None
        fields = document if isinstance(document, dict) else {}
        action = fields.get("janus")
        return Ask(
            received,
            _API,
            action if isinstance(action, str) else "",
            app=received.path,
            limit=_API,
            holder=received.path,
            rooms=(),
            document=document,
        )

    def check(self, ask: Ask, now: float) -> Refusal | None:  # noqa: ARG002 Janus has no clock of its own in this
        """The server's checks in its own order, then the plugin's."""
        server = self._credentials.janus[ask.app]
        document = ask.document
        if ask.received.method != "POST" or not ask.received.body:
            return Refusal("454", "Request payload missing")
        if not isinstance(document, dict):
            return Refusal("454" if document is None else "455")
        for name in ("transaction", "janus"):
            if not isinstance(document.get(name), str):
                return Refusal("467" if name in document else "456")
        if not _same(document.get("admin_secret"), server.admin_secret):
            return Refusal("403")
        if document["janus"] != "message_plugin":
            return Refusal("457")
        if document.get("plugin") != _PLUGIN:
            return Refusal("460" if "plugin" in document else "456")
        return _check_request(document.get("request"), server)

    def answer(self, ask: Ask, outlook: Outlook) -> Reply:
        """Every room that exists, with those who joined."""
        answered, listed = [], []
        for room in outlook.rooms(_API):
            users = outlook.state(_API, room).users
            answered.append(Answered(room, users, None, None, exists=True))
            number = int(room) if room.isdecimal() and room.isascii() and str(int(room)) == room else None
            name = room if number is None else number
            listed.append({"room": name, "description": f"Room {room}", **_ROOM, "num_participants": users})
        body = {"videoroom": "success", "list": listed}
        return Reply(200, _success(ask, body), "0", tuple(answered))

    def refuse(self, ask: Ask, refusal: Refusal) -> Reply:
        """HTTP 200, always; what no code stands for is a proxy's word."""
        if not refusal.code.isdecimal():
            return Reply(429, b"<html><h1>429 Too Many Requests</h1></html>", refusal.code, content_type="text/html")
        code = int(refusal.code)
        words = refusal.message or CODES[_API].messages.get(refusal.code, "failed")
        status = refusal.status or 200
        if code in _OF_THE_PLUGIN or code == 499:
            body = _success(ask, {"videoroom": "event", "error_code": code, "error": words})
            return Reply(status, body, refusal.code)
        error = {"janus": "error", **_transaction(ask), "error": {"code": code, "reason": words}}
        return Reply(status, msgspec.json.encode(error), refusal.code)


def _check_request(request: object, server: JanusServer) -> Refusal | None:
    if not isinstance(request, dict) or "request" not in request:
        return Refusal("429")
    if request["request"] != "list":
        return Refusal("423")
    key = request.get("admin_key")
    return None if key is None or _same(key, server.admin_key) else Refusal("433")


def _same(given: object, secret: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode(), secret.encode())


def _success(ask: Ask, response: Mapping[str, object]) -> bytes:
    return msgspec.json.encode({"janus": "success", **_transaction(ask), "response": response})


def _transaction(ask: Ask) -> dict[str, object]:
    document = ask.document
    return {"transaction": document["transaction"]} if isinstance(document, dict) and "transaction" in document else {}
