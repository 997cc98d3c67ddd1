"""
Parses and checks the query string of a request for rooms.

Cursors (``after``, ``before``) are opaque to clients. They hold the key of a room, as base64 of JSON.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from exporter.model import Severity
from exporter.states import RoomState
from exporter.web.rooms import Key, Order, Query

MAX_LIMIT: Final = 1_000
DEFAULT_LIMIT: Final = 100
LONGEST_TEXT: Final = 256


class ParameterError(ValueError):
    """A parameter is not accepted; says what was found and what is accepted."""


def rooms_query(
    parameters: Iterable[tuple[str, str]], sources: Collection[str], accepted: Collection[str], order: Order, limit: int
) -> Query:
    """
    Parse a query string. An empty value means the same as no parameter.

    Args:
        parameters: Decoded names and values; ``state`` may occur several times.
        sources: Names of all sources.
        accepted: Parameters that this endpoint knows.
        order: Default for the parameter ``order``.
        limit: Default for the parameter ``limit``.

    Raises:
        ParameterError: What was found, and what is accepted.
    """
    given: dict[str, str] = {}
    states = []
    for name, value in parameters:
        if name not in accepted:
            raise ParameterError(f"unknown parameter {_short(name)}; accepted: {', '.join(accepted)}")
        if name in given and name != "state":
            raise ParameterError(f"parameter {name!r} is given more than once; accepted: once")
        given[name] = value
        if name == "state" and value:
            states.append(_state(value))
    after, before = given.get("after", ""), given.get("before", "")
    if after and before:
        raise ParameterError("both after and before are given; accepted: one of them")
    return Query(
        source=_source(given.get("source", ""), sources),
        states=tuple(states),
        above=_above(given.get("above", "")),
        text=_text(given.get("q", "")),
        order=_order(given.get("order", ""), order),
        after=_cursor("after", after) if after else None,
        before=_cursor("before", before) if before else None,
        limit=_limit(given.get("limit", ""), limit),
    )


def encode_cursor(key: Key) -> str:
    """A key as text for a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def _cursor(name: str, cursor: str) -> Key:
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        key: Key = msgspec.json.decode(data, type=Key)
        return key
    except (ValueError, msgspec.DecodeError):
        raise ParameterError(f"{name}={_short(cursor)}; accepted: a cursor from the answer of another page") from None


def _source(source: str, sources: Collection[str]) -> str | None:
    if source and source not in sources:
        raise ParameterError(f"source={_short(source)}; accepted: {', '.join(sources) or 'none, there are no sources'}")
    return source or None


def _state(state: str) -> RoomState:
    if state not in frozenset(RoomState):
        raise ParameterError(f"state={_short(state)}; accepted: {', '.join(RoomState)}")
    return RoomState(state)


def _above(above: str) -> Severity | None:
    if above and above not in frozenset(Severity):
        raise ParameterError(f"above={_short(above)}; accepted: {', '.join(Severity)}")
    return Severity(above) if above else None


def _text(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise ParameterError(f"q has {len(text)} characters; accepted: up to {LONGEST_TEXT}")
    return text


def _order(order: str, default: Order) -> Order:
    if order and order not in frozenset(Order):
        raise ParameterError(f"order={_short(order)}; accepted: {', '.join(Order)}")
    return Order(order) if order else default


def _limit(limit: str, default: int) -> int:
    if not limit:
        return default
    if not limit.isascii() or not limit.isdigit() or len(limit) > 9 or not 1 <= int(limit) <= MAX_LIMIT:
        raise ParameterError(f"limit={_short(limit)}; accepted: 1 to {MAX_LIMIT}")
    return int(limit)


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")
