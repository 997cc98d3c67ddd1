"""
Whatever a vendor sends, a codec makes readings or failures of it, and never raises.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.model import Failure, Reading
from exporter.vendors import APIS
from exporter.vendors.codec import Codec
from exporter.vendors.replies import MAX_USERS
from tests.vendors.examples import failure, success

EDITIONS = [100, pytest.param(10_000, marks=pytest.mark.soak)]
ROOMS = ("lobby", "stage", "房间 1")

statuses = st.sampled_from([200, 200, 200, 204, 302, 404, 429, 500, 503]) | st.integers(0, 999)
headers = st.dictionaries(st.sampled_from(["Retry-After", "Date", "Content-Type"]), st.text(max_size=40), max_size=3)
counts = st.integers() | st.floats() | st.booleans() | st.none() | st.from_regex(r"\A-?\d{1,20}(\.\d)?\Z") | st.text()
codes = (
    st.integers() | st.text() | st.sampled_from([0, 1, 206, 104, 660300001, 10010, 100004, "0", "AccessDenied", "a\n"])
)
documents = st.recursive(
    counts, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)


@st.composite
def mutations(draw: st.DrawFn, api: str) -> bytes:
    """A true reply in which a few places were changed, then perhaps some bytes of it."""
    document = draw(
        st.builds(lambda users, part: success(api, ROOMS, users, part), counts, counts)
        | st.builds(lambda code: failure(api, code), codes)
    )
    for _ in range(draw(st.integers(0, 3))):
        place, key = draw(st.sampled_from(_places(document)))
        place[key] = draw(documents)
    body = bytearray(json.dumps(document, ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass"))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(body) - 1))
        body[at : at + draw(st.integers(0, 9))] = draw(st.binary(max_size=9))
        if not body:
            break
    return bytes(body)


def _places(document: Any) -> list[tuple[Any, Any]]:
    keys = document.keys() if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    return [place for key in keys for place in ((document, key), *_places(document[key]))]


@pytest.mark.parametrize("examples", EDITIONS)
@pytest.mark.parametrize(
    "bodies", [st.binary(), documents.map(lambda document: json.dumps(document).encode())], ids=["bytes", "JSON"]
)
def test_any_reply_ends_in_readings_or_failures(bodies: st.SearchStrategy[bytes], examples: int) -> None:
    """
    Bytes or JSON of any kind give every room asked for a reading or a failure, or the call as a whole a failure.
    """

    @settings(max_examples=examples, deadline=None)
    @given(status=statuses, headers=headers, body=bodies)
    def holds(status: int, headers: dict[str, str], body: bytes) -> None:
        for api in APIS:
            is_sound(api, status, headers, body)

    holds()


@pytest.mark.parametrize("examples", EDITIONS)
@pytest.mark.parametrize("api", APIS)
def test_mutated_reply_ends_in_readings_or_failures(api: str, examples: int) -> None:
    """
    A true reply with mistakes in it does as well.
    """

    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(status=statuses, headers=headers, body=mutations(api))
    def holds(status: int, headers: dict[str, str], body: bytes) -> None:
        is_sound(api, status, headers, body)

    holds()


def is_sound(api: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """A reading holds only what its API tells, and a failure only what may be printed."""
    codec = APIS[api]
    rooms = ROOMS[: codec.batch_size]

    answer = codec.reply(rooms, status, headers, body)

    if isinstance(answer, Failure):
        _is_printable(answer)
        return
    assert rooms == tuple(answer.rooms)
    assert answer.unrequested >= 0
    for outcome in answer.rooms.values():
        if isinstance(outcome, Failure):
            _is_printable(outcome)
        else:
            _is_possible(outcome, codec)


def _is_printable(failure: Failure) -> None:
    assert failure.code.isascii()
    assert failure.code.isprintable()
    assert failure.words.isprintable()


def _is_possible(reading: Reading, codec: Codec) -> None:
    assert type(reading.users) is int
    assert 0 <= reading.users <= MAX_USERS
    assert 0 <= (reading.admin_users or 0) <= reading.users
    assert 0 <= (reading.invisible_users or 0) <= reading.users
    assert codec.tells_admin_users or reading.admin_users is None
    assert codec.tells_invisible_users or reading.invisible_users is None
    assert codec.tells_existence or reading.exists is None
    assert not reading.missing or reading.users == 0
