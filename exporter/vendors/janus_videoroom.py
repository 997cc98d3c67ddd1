"""
Janus's video rooms, by the server's admin API: one call tells every room with its users, so the list is the poll.

Source: Janus WebRTC Server 1.1.2 as it is packaged by Debian 12, which was asked itself; its documents "Admin/Monitor
API" (``message_plugin``) and "VideoRoom plugin" (``list``), and the codes of ``apierror.h`` and of the plugin. Where
they differ, what the server does counts.

What it tells. ``num_participants`` counts those who joined as publishers, whether they publish or not; who only
subscribes is not counted. A room that the list lacks does not exist, or it is private: those are listed only to whoever
has the plugin's ``admin_key``, if one is configured there. Every error comes with HTTP status 200.

What it costs. A room takes some 500 bytes of the reply, so 8 MiB, the most that is read, hold 15,000 rooms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from pydantic import Field

from exporter.model import Auth, Failure, FailureKind, Reading, Reply, Request, Stamp
from exporter.vendors.callbacks import Callbacks
from exporter.vendors.codec import RoomIdRule
from exporter.vendors.lists import ANY_ROOM, MOST_ROOMS, ListPass, Lists, Page, PagedPass
from exporter.vendors.replies import (
    CONTRADICTION,
    NO_COUNT,
    UNDOCUMENTED,
    by_status,
    code_table,
    count,
    failed_call,
    read,
    repeats,
    vendor_code,
)
from exporter.vendors.source import Secret, Source, Text, matching

_ADDRESS: Final = "http://127.0.0.1:7088"
_INTERVAL: Final = 5.0
_CALLS: Final = 10.0
"""A second. Janus has no limit; this keeps a mistake from costing the server more than a little."""

_LARGEST: Final = 8 * 1024 * 1024
"""Bytes of a reply that are looked through for repeated keys if there may be some: any reply."""


class JanusVideoroomSource(Source):
    """The rooms of one Janus server."""

    api: Literal["janus_videoroom"]
    admin_path: Annotated[Text, matching(r"(?:/[0-9A-Za-z._~-]+)+", "a path such as /admin")] = Field(
        "/admin", description="Path of the server's admin API, its `admin_base_path`"
    )
    admin_secret: Secret = Field(description="The server's `admin_secret`; any text if it has none")
    admin_key: Secret | None = Field(None, description="The plugin's `admin_key`; without it no private room is seen")


class _RoomList:
    """The list, which is the poll as well."""

    tells_users = True
    answers_all = True
    tells_new = False
    page_size = MOST_ROOMS
    default_interval = _INTERVAL

    def limit(self, source: JanusVideoroomSource) -> float:  # noqa: ARG002 the same for every server
        return _CALLS

    def budget_key(self, source: JanusVideoroomSource) -> str:
        return f"janus_videoroom:{_server(source)}"

    def unavailable(self, source: JanusVideoroomSource) -> str | None:  # noqa: ARG002 every server has it
        return None

    def begin(self, source: JanusVideoroomSource, now: float, since: float | None, lookback: float) -> ListPass:  # noqa: ARG002 always whole
        return PagedPass(_Pager(source))


class JanusVideoroom:
    api = "janus_videoroom"
    vendor = "janus"
    source_model: type[Source] = JanusVideoroomSource
    batch_size = MOST_ROOMS
    default_interval = _INTERVAL
    room_ids = RoomIdRule(
        max_bytes=256,
        alphabet=re.compile(r"[^\x00-\x1f\x7f]+"),
        described="a number, or any text where the server has string_ids",
    )
    tells_admin_users = False
    tells_invisible_users = False
    tells_existence = True
    lists: Lists | None = _RoomList()
    callbacks: Callbacks | None = None

    def default_limit(self, source: JanusVideoroomSource) -> float:  # noqa: ARG002 the same for every server
        return _CALLS

    def base_url(self, source: JanusVideoroomSource) -> str:
        return source.base_url or _ADDRESS

    def budget_key(self, source: JanusVideoroomSource) -> str:
        return f"janus_videoroom:{_server(source)}"

    def app_key(self, source: JanusVideoroomSource) -> str:
        return f"janus:{_server(source)}"

    def rooms_key(self, source: JanusVideoroomSource) -> str:
        return f"janus_videoroom {_server(source)}"

    def authorize(self, source: JanusVideoroomSource, now: float) -> Auth:  # noqa: ARG002 the secret itself never ages
        return Auth(source.admin_secret.reveal())

    def request(self, source: JanusVideoroomSource, auth: Auth, rooms: Sequence[str], stamp: Stamp) -> Request:
        """
        Ask the plugin for all of its rooms, whichever are wanted.

        Raises:
            ValueError: More rooms than a reply can have, or none.
        """
        if not 1 <= len(rooms) <= self.batch_size:
            raise ValueError(f"a list answers for 1 to {self.batch_size} rooms, not {len(rooms)}")
        return _list(source, auth, stamp)

    def reply(self, rooms: Sequence[str], status: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
        listed = _listed(status, headers, body)
        if isinstance(listed, Failure):
            return listed
        said = {room: listed.pop(room, _MISSING) for room in rooms}
        return Reply(said, others={room: each for room, each in listed.items() if isinstance(each, Reading)})


class _Pager:
    unsupported: frozenset[str] = frozenset()

    def __init__(self, source: JanusVideoroomSource) -> None:
        self._source = source

    def request(self, auth: Auth, stamp: Stamp) -> Request:
        return _list(self._source, auth, stamp)

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> Page | Failure:
        listed = _listed(status, headers, body)
        if isinstance(listed, Failure):
            return listed
        return Page({room: each if isinstance(each, Reading) else None for room, each in listed.items()}, last=True)


def _server(source: JanusVideoroomSource) -> str:
    return f"{source.base_url or _ADDRESS}{source.admin_path}"


def _list(source: JanusVideoroomSource, auth: Auth, stamp: Stamp) -> Request:
    secret = cast(str, auth.token)
    key = source.admin_key.reveal() if source.admin_key else None
    document = {
        "janus": "message_plugin",
        "transaction": stamp.nonce,
        "admin_secret": secret,
        "plugin": "janus.plugin.videoroom",
        "request": {"request": "list"} if key is None else {"request": "list", "admin_key": key},
    }
    return Request(
        method="POST",
        base_url=source.base_url or _ADDRESS,
        target=source.admin_path,
        headers={"Content-Type": "application/json"},
        body=msgspec.json.encode(document),
        secrets=(secret,) if key is None else (secret, key),
    )


class _Room(msgspec.Struct):
    room: int | str
    num_participants: Any = None


class _Answer(msgspec.Struct, rename={"rooms": "list"}):
    videoroom: Any = None
    error_code: Any = None
    rooms: list[_Room] | None = None


class _Error(msgspec.Struct):
    code: Any = None


class _Whole(msgspec.Struct):
    janus: Any = None
    error: _Error | None = None
    response: _Answer | None = None


# With the colon: a description may be any of these words, but cannot hold a bare quotation mark.
_OF_ROOMS: Final = (b'"room":', b'"num_participants":')
_ONCE: Final = (b'"janus":', b'"response":', b'"videoroom":', b'"list":')
_DECODER: Final = msgspec.json.Decoder(_Whole)


def _listed(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Reading | Failure] | Failure:
    """Every room of the reply, or why there are none."""
    whole = read(body, _DECODER, _DECODER)
    answer = (whole.response if whole else None) or _Answer()
    code = vendor_code(whole.error.code) if whole and whole.error else vendor_code(answer.error_code)
    if code and (failure := failed_call(code, _CODES, status, headers)):
        return failure
    if failure := by_status(status, headers):
        return failure
    if whole is None or (whole.janus, answer.videoroom) != ("success", "success") or answer.rooms is None:
        return UNDOCUMENTED
    entries = answer.rooms
    if repeats(body, _OF_ROOMS, len(entries), _LARGEST) or repeats(body, _ONCE, 1, _LARGEST):
        return CONTRADICTION
    listed: dict[str, Reading | Failure] = {}
    for entry in entries:
        room, users = str(entry.room), count(entry.num_participants)
        said = NO_COUNT if users is None else Reading(users, exists=True)
        listed[room] = said if listed.get(room, said) == said else CONTRADICTION
    listed.pop(ANY_ROOM, None)
    return listed


_MISSING: Final = Reading(users=0, exists=False, missing=True)

_CODES: Final[Mapping[int | str, Failure]] = {
    **code_table(
        FailureKind.UNAUTHORIZED,
        {
            403: "the secret is wrong: copy admin_secret from the general part of janus.jcfg",
            405: "the server's authorization refuses the admin API: check admin_secret, and the server's auth plugin",
            433: "the key is wrong: copy admin_key from the general part of janus.plugin.videoroom.jcfg",
        },
    ),
    **code_table(
        FailureKind.MISCONFIGURED,
        {
            450: "the transport refuses the request: check base_url, and the server's transport plugin",
            452: "no request arrived: check base_url and proxy",
            453: "the server does not know message_plugin: check its version, which must be 0.9 or later",
            454: "no JSON arrived: check base_url and proxy",
            455: "no JSON object arrived: check base_url and proxy",
            456: "a part of the request is missing: check base_url and proxy",
            457: "this is not the admin API: check base_url, whose port is admin_port, and admin_path",
            460: "the server runs without the plugin janus.plugin.videoroom: load it, or check base_url",
            467: "a part of the request is of another type: check the server's version",
            421: "the plugin got no request: check proxy",
            422: "the plugin got no JSON: check proxy",
            423: "the plugin does not know the request list: check the server's version",
            429: "the plugin misses a part of the request: check the server's version",
            430: "the plugin takes a part of the request for wrong: check the server's version",
        },
    ),
    **code_table(
        FailureKind.TRANSIENT,
        {
            462: "the plugin could not be asked",
            490: "Janus failed without saying why",
            499: "the plugin failed without saying why",
        },
    ),
}
