"""
Makes one call for one room, or for one page of a list of rooms, and shows it to a person at a terminal, with every
secret redacted. Of a list only the ids are shown: the rest of such a reply is text that users wrote.

The running exporter does not make this call. So the call uses one slot of the vendor's limit in addition to the
exporter's own calls.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from exporter.clock import Clock
from exporter.config import SourceConfig
from exporter.errors import UserError
from exporter.model import Failure, Reading, Reply, Request, Stamp
from exporter.polling.client import Client, Response
from exporter.vendors.lists import ListPass
from exporter.vendors.source import has_control_character

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LONGEST = 4_000
_FIRST_IDS = 10
_LOOKBACK = 86_400.0
_EMPTY_OR_NOT_THERE = (
    "note: {api} answers 0 for a room that the vendor does not have, too. If people are in it, compare the id with the "
    "one that clients log in to (case matters), then the app and its environment."
)


class ProbeError(UserError):
    """The call gave no reading, or could not be made."""


async def probe(config: SourceConfig, room: str, show: Callable[[str], None]) -> None:
    """
    Call the vendor once.

    Args:
        show: Called with one or more lines of text.

    Raises:
        ProbeError: The API does not accept the room id, or the call gave no reading.
    """
    _check(config, room)
    clock = Clock()
    stamp = Stamp(clock.unix(), clock.nonce())
    auth = config.codec.authorize(config.source, stamp.time)
    request = config.codec.request(config.source, auth, (room,), stamp)
    shown, response = await _call(config, request, config.budget, clock, show)
    lists = config.codec.lists
    if lists is not None and lists.answers_all:
        show(shown.head(response))
        show(f"\n({len(response.body)} bytes of all rooms, which are not shown)\n")
    else:
        show(shown.reply(response))
    outcome = config.codec.reply((room,), response.status, response.headers, response.body)
    show(_shown_outcome(shown, room, outcome))
    if isinstance(outcome, Reply) and not config.codec.tells_existence and _is_empty(outcome.rooms[room]):
        show(_EMPTY_OR_NOT_THERE.format(api=config.api))


async def probe_list(config: SourceConfig, show: Callable[[str], None]) -> None:
    """
    Call the vendor once for the first page of its list of rooms.

    Raises:
        ProbeError: The vendor has no such list, not for this source, or the call gave none.
    """
    lists = config.codec.lists
    unavailable = lists.unavailable(config.source) if lists else f"{config.api} has no list of rooms"
    if lists is None or unavailable:
        raise ProbeError(f"no list: {unavailable}")
    clock = Clock()
    stamp = Stamp(clock.unix(), clock.nonce())
    auth = config.codec.authorize(config.source, stamp.time)
    settings = config.discovery.vendor_list if config.discovery else None
    listing = lists.begin(config.source, stamp.time, None, settings.lookback if settings else _LOOKBACK)
    request = listing.request(auth, stamp)
    if request is None:
        raise ProbeError("no list: there is nothing to ask for")
    shown, response = await _call(config, request, lists.budget_key(config.source), clock, show)
    show(shown.head(response))
    show(f"\n({len(response.body)} bytes, of which only the room ids are shown)\n")
    failure = listing.reply(response.status, response.headers, response.body)
    if failure is not None:
        raise ProbeError(f"no list: {replace(failure, code=shown.clean(failure.code))}")
    for line in _page(listing):
        show(shown.clean(line))


async def _call(
    config: SourceConfig, request: Request, budget: str, clock: Clock, show: Callable[[str], None]
) -> tuple[_Shown, Response]:
    """Make the call, and show the request that it sends."""
    show(f"This call spends one slot of the budget {budget}, beside those of a running exporter.")
    shown = _Shown(request, config.source.proxy_secrets)
    show(shown.request())
    client = Client(config, None, clock)
    try:
        response = await client.call(request)
    finally:
        await client.aclose()
    if isinstance(response, Failure):
        raise ProbeError(f"no reply: {response}")
    return shown, response


def _page(listing: ListPass) -> Iterator[str]:
    total = "" if listing.total is None else f", of {listing.total} that the vendor has"
    more = f"not complete: {listing.error}" if listing.error else "there are more pages"
    yield f"list: {len(listing.rooms)} rooms on the first page{total}; {'complete' if listing.complete else more}"
    for room_id in islice(listing.rooms, _FIRST_IDS):
        reading = listing.rooms[room_id]
        yield f"  {room_id!r}{'' if reading is None else f' users={reading.users}'}"
    if len(listing.rooms) > _FIRST_IDS:
        yield f"  and {len(listing.rooms) - _FIRST_IDS} more"


def _is_empty(result: Reading | Failure) -> bool:
    return isinstance(result, Reading) and result.users == 0


def _check(config: SourceConfig, room: str) -> None:
    longest = config.codec.room_ids.max_bytes
    if not room or has_control_character(room) or len(room.encode()) > longest:
        raise ProbeError(f"ROOM: found {room!r}; accepted: 1 to {longest} bytes without control characters")


class _Shown:
    """
    The text of a call without secrets.

    Args:
        others: Secrets that are not in ``request.secrets``.
    """

    def __init__(self, request: Request, others: tuple[str, ...]) -> None:
        self._request = request
        self._others = others

    def request(self) -> str:
        asked = self._request
        body = f"\n\n{asked.body.decode(errors='replace')}" if asked.body else ""
        return self.clean(f"\n> {asked.method} {asked.url}{_lines('> ', asked.headers)}{body}")

    def head(self, response: Response) -> str:
        return self.clean(f"\n< HTTP {response.status}{_lines('< ', response.headers)}")

    def reply(self, response: Response) -> str:
        # Cut again after redaction, so that the first cut leaves no half of a secret.
        text = self.clean(response.body.decode(errors="replace")[: 4 * _LONGEST])
        cut = f"\n({len(response.body)} bytes, cut here)" if len(text) > _LONGEST else ""
        return f"{self.head(response)}\n\n{text[:_LONGEST]}{cut}\n"

    def clean(self, text: str) -> str:
        text = self._request.redact_parts(text, self._others)
        return _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _lines(mark: str, headers: Mapping[str, str]) -> str:
    return "".join(f"\n{mark}{name}: {value}" for name, value in headers.items())


def _shown_outcome(shown: _Shown, room: str, outcome: Reply | Failure) -> str:
    result = outcome.rooms[room] if isinstance(outcome, Reply) else outcome
    if not isinstance(result, Reading):
        failure = replace(result, code=shown.clean(result.code))
        raise ProbeError(f"no reading: {failure}")
    known = {
        "users": result.users,
        "admin_users": result.admin_users,
        "invisible_users": result.invisible_users,
        "exists": result.exists,
    }
    parts = [f"{name}={value}" for name, value in known.items() if value is not None]
    return f"reading: {' '.join(parts)}{' (no such room)' if result.missing else ''}"
