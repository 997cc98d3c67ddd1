"""
Query strings of rooms requests.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import Severity
from exporter.states import RoomState
from exporter.web.parameters import ParameterError, encode_cursor, rooms_query
from exporter.web.rooms import Order, Query

ACCEPTED = ("source", "state", "above", "q", "order", "limit", "after", "before")


def read(*parameters: tuple[str, str]) -> Query:
    """
    The query of these parameters where the sources ``live`` and ``chat`` exist.
    """
    return rooms_query(parameters, ["live", "chat"], ACCEPTED, Order.ROOM, 100)


def test_nothing_asked_for() -> None:
    """
    Without parameters, or with empty ones, everything is asked for, in the order and page size of the endpoint.
    """
    assert Query(order=Order.ROOM, limit=100) == read() == read(*((name, "") for name in ACCEPTED))


def test_everything_asked_for() -> None:
    """
    Each parameter has its place; states add up.
    """
    key = (-7, "live", "会议室 1")
    query = read(
        ("source", "live"), ("state", "held"), ("state", "fresh"), ("above", "warning"), ("q", " %_é"),
        ("order", "users"), ("limit", "1000"), ("after", encode_cursor(key)),
    )  # fmt: skip

    states = (RoomState.HELD, RoomState.FRESH)
    assert query == Query(
        source="live", states=states, above=Severity.WARNING, text=" %_é", order=Order.USERS, after=key, limit=1000
    )


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (
            ("sauce", "live"),
            "unknown parameter 'sauce'; accepted: source, state, above, q, order, limit, after, before",
        ),
        (("source", "im"), "source='im'; accepted: live, chat"),
        (("state", "ok"), "state='ok'; accepted: refused, missing, fresh, held, unknown"),
        (("state", "FRESH"), "state='FRESH'; accepted: refused, missing, fresh, held, unknown"),
        (("above", "ok"), "above='ok'; accepted: warning, critical"),
        (("order", "age"), "order='age'; accepted: share, users, room"),
        (("limit", "0"), "limit='0'; accepted: 1 to 1000"),
        (("limit", "1001"), "limit='1001'; accepted: 1 to 1000"),
        (("limit", "-1"), "limit='-1'; accepted: 1 to 1000"),
        (("limit", "1e2"), "limit='1e2'; accepted: 1 to 1000"),
        (("limit", "٣"), "limit='٣'; accepted: 1 to 1000"),
        (("limit", "²"), "limit='²'; accepted: 1 to 1000"),
        (("limit", "9" * 5_000), "limit='" + "9" * 79 + "…'; accepted: 1 to 1000"),
        (("q", "x" * 257), "q has 257 characters; accepted: up to 256"),
        (("after", "!"), "after='!'; accepted: a cursor from the answer of another page"),
        (("after", "AAAA"), "after='AAAA'; accepted: a cursor from the answer of another page"),
        (("after", "WzFd"), "after='WzFd'; accepted: a cursor from the answer of another page"),
        (("before", "é"), "before='é'; accepted: a cursor from the answer of another page"),
    ],
)
def test_what_is_wrong_is_said(parameter: tuple[str, str], message: str) -> None:
    """
    A bad parameter is refused with what was found and what is accepted.
    """
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        read(parameter)


def test_once_is_enough() -> None:
    """
    Of two values for one parameter, neither is taken.
    """
    with pytest.raises(ParameterError, match="parameter 'q' is given more than once; accepted: once"):
        read(("q", "a"), ("q", "b"))


def test_one_direction_at_a_time() -> None:
    """
    A page lies before a room or after it.
    """
    cursor = encode_cursor((0, "live", "a"))
    with pytest.raises(ParameterError, match="both after and before are given; accepted: one of them"):
        read(("after", cursor), ("before", cursor))


@given(st.tuples(st.floats(-(2**53), 3), st.text(), st.text()))
def test_a_cursor_comes_back_as_it_went(key: tuple[float, str, str]) -> None:
    """
    A cursor is plain ASCII that needs no escaping in a URL, and stands for the very room.
    """
    cursor = encode_cursor(key)

    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    assert key == read(("after", cursor)).after


@given(st.lists(st.tuples(st.sampled_from(ACCEPTED), st.text()), max_size=4))
def test_any_query_string_is_read_or_refused(parameters: list[tuple[str, str]]) -> None:
    """
    There is no query string that is an unexpected error, or that asks for more rooms than a page may have.
    """
    try:
        query = read(*parameters)
    except ParameterError as error:
        assert "; accepted: " in str(error)  # noqa: PT017  # either end is right
    else:
        assert 1 <= query.limit <= 1_000
