"""Makes true replies invalid."""

import gzip
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, get_args

import msgspec

from exporter.simulator.exchange import Reply

Form = Literal[
    "truncated",
    "wrong_type",
    "negative",
    "boolean",
    "fraction",
    "null",
    "missing",
    "huge",
    "html",
    "empty",
    "list",
    "not_utf8",
    "oversize",
    "bomb",
    "string",
    "swapped",
    "omitted",
    "duplicated",
    "foreign",
    "bare_list",
]
"""
The ways to change a reply.

The count of one room is a text that is not a number (wrong_type), negative, boolean, a fraction, null, missing, or too
large for every integer type (huge). The body is cut in the middle (truncated), a page of HTML, empty, a JSON list, not
UTF-8, 9 MiB long (oversize), or 16 MiB compressed to a few kilobytes (bomb). With `string` the count is a number as
text, which clients should accept. For `zego_rtc` and `janus_videoroom` only: the rooms are in reverse order (swapped),
one is left out (omitted), one occurs twice with different counts (duplicated), or one was not requested (foreign). For
`zego_rtc` only: `Data` is the list itself (bare_list).
"""

_BATCHES: tuple[Form, ...] = ("swapped", "omitted", "duplicated", "foreign")
_HARMLESS_IN: Mapping[str, tuple[Form, ...]] = MappingProxyType(
    # A room that Janus omits is gone, and one that it adds is there: that is no nonsense, but an answer.
    {"zego_rtc": _BATCHES, "janus_videoroom": ("swapped", "duplicated")}
)
_ONLY_BY_NAME: tuple[Form, ...] = ("oversize", "bomb", "string", "bare_list")
_EVERYWHERE: tuple[Form, ...] = tuple(form for form in get_args(Form) if form not in _BATCHES + _ONLY_BY_NAME)
OVERSIZE = 9 * 2**20
BOMB = 16 * 2**20

_HTML = (
    b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
)
_SPOILT_COUNTS: Mapping[Form, object] = MappingProxyType(
    {"wrong_type": "many", "boolean": True, "fraction": 2.5, "null": None, "huge": msgspec.Raw(b"1" + b"0" * 30)}
)
_PATHS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "zego_zim": ("Count",),
        "tencent_im": ("OnlineMemberNum",),
        "tencent_live": ("Response", "MemberCount"),
        "volcengine_rtc": ("Result", "TotalUser"),
    }
)


def any_form(api: str, dice: random.Random) -> Form:
    """A random form, without the very large ones; for a batch also the forms that mix up rooms."""
    return dice.choice(_EVERYWHERE + _HARMLESS_IN.get(api, ()))


def spoil(form: Form, api: str, reply: Reply, dice: random.Random) -> Reply:
    """
    Change a reply in this way. If that is impossible, for instance a missing count in a reply without counts, the reply
    is cut in the middle.

    `answered` keeps the rooms whose values are still true.
    """
    if form in _BODIES:
        return _BODIES[form](reply)
    document = msgspec.json.decode(reply.body)
    if api == "zego_rtc":
        return _spoil_batch(form, document, reply, dice)
    if api == "janus_videoroom":
        return _spoil_list(form, document, reply, dice)
    return _spoil_count(form, api, document, reply)


def _spoil_batch(form: Form, document: Any, reply: Reply, dice: random.Random) -> Reply:
    entries = document["Data"].get("UserCountList")
    if not entries:
        return _truncated(reply)  # a page of a list of rooms
    if form == "bare_list":
        document["Data"] = entries
        return replace(reply, body=msgspec.json.encode(document))
    stranger = {"RoomId": "nobody-asked-for-this", "UserCount": 777, "AdminUserCount": 0}
    return _spoil_entries(form, document, entries, "UserCount", stranger, reply, dice)


def _spoil_list(form: Form, document: Any, reply: Reply, dice: random.Random) -> Reply:
    entries = document.get("response", {}).get("list")
    if not entries or form == "bare_list":
        return _truncated(reply)
    stranger = {**entries[0], "room": "nobody-asked-for-this", "num_participants": 777}
    return _spoil_entries(form, document, entries, "num_participants", stranger, reply, dice)


def _spoil_entries(
    form: Form,
    document: Any,
    entries: list[dict[str, Any]],
    count: str,
    stranger: dict[str, Any],
    reply: Reply,
    dice: random.Random,
) -> Reply:
    victim = dice.randrange(len(entries))
    answered = list(reply.answered)
    if form == "swapped":
        entries.reverse()
    elif form == "omitted":
        del entries[victim], answered[victim]
    elif form == "duplicated":
        entries.append(entries[victim] | {count: entries[victim][count] + 1})
        del answered[victim]
    elif form == "foreign":
        entries.insert(victim, stranger)
    else:
        _set_count(form, entries[victim], count)
        if form != "string":
            del answered[victim]
    return replace(reply, body=msgspec.json.encode(document), answered=tuple(answered))


def _spoil_count(form: Form, api: str, document: Any, reply: Reply) -> Reply:
    *path, name = _PATHS[api]
    holder = document
    for step in path:
        holder = holder.get(step, {})
    if name not in holder or form in (*_BATCHES, "bare_list"):
        return _truncated(reply)
    _set_count(form, holder, name)
    return replace(reply, body=msgspec.json.encode(document), answered=reply.answered if form == "string" else ())


def _set_count(form: Form, holder: dict[str, Any], name: str) -> None:
    if form == "missing":
        del holder[name]
    elif form == "negative":
        holder[name] = -1 - holder[name]
    elif form == "string":
        holder[name] = str(holder[name])
    else:
        holder[name] = _SPOILT_COUNTS[form]


def _truncated(reply: Reply) -> Reply:
    return replace(reply, body=reply.body[: len(reply.body) // 2], answered=())


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    return gzip.compress(b" " * BOMB, compresslevel=6)


_BODIES: Mapping[Form, Callable[[Reply], Reply]] = MappingProxyType(
    {
        "truncated": _truncated,
        "html": lambda reply: replace(reply, body=_HTML, content_type="text/html", answered=()),
        "empty": lambda reply: replace(reply, body=b"", answered=()),
        "list": lambda reply: replace(reply, body=b"[" + reply.body + b"]", answered=()),
        "not_utf8": lambda reply: replace(reply, body=b"\xff\xfe" + reply.body, answered=()),
        "oversize": lambda reply: replace(reply, body=reply.body + b" " * (OVERSIZE - len(reply.body)), answered=()),
        "bomb": lambda reply: replace(reply, body=_bomb(), headers={"Content-Encoding": "gzip"}, answered=()),
    }
)
