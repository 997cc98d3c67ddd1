"""
Dates as HTTP headers write them.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.vendors.http_date import http_date


@pytest.mark.parametrize(
    "text",
    [
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "Tuesday, 14-Nov-23 22:13:20 GMT",
        "Tue, 14 Nov 23 22:13:20 GMT",
        "Tue, 14 Nov 2023 23:13:20 +0100",
        "Tue, 14 Nov 2023 22:13:20 UTC",
        "  Tue, 14 Nov 2023 22:13:20 GMT ",
    ],
)
def test_date(text: str) -> None:
    """
    Every form with a zone is understood, that of two digits for the year among them.
    """
    assert 1_700_000_000.0 == http_date(text)


@pytest.mark.parametrize(
    "text",
    [
        "Tue Nov 14 22:13:20 2023",
        "Tue, 14 Nov 2023 22:13:20",
        "Tue, 14 Nov 2023 22:13:20 -0000",
        "Tue, 14 Nov 2023 22:13:20 XYZ",
    ],
)
def test_date_without_a_zone_is_not_understood(text: str) -> None:
    """
    Without a zone a date could be off by half a day, so it is not taken for UTC nor for our own zone.
    """
    assert http_date(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Wed, 31 Dec 1969 23:59:59 GMT", None),
        ("Thu, 31 Dec 9998 23:59:59 GMT", 253_370_764_799.0),
        ("Fri, 01 Jan 9999 00:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -0100", None),
        ("Tue, 14 Nov 9999999999 22:13:20 GMT", None),
    ],
)
def test_range(text: str, seconds: float | None) -> None:
    """
    A date that could not be calculated with is none.
    """
    assert seconds == http_date(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "today",
        "1700000000",
        "17 June , 2022",
        "Tue, 31 Nov 2023 22:13:20 GMT",
        "Tue, 14 Nov 2023 25:13:20 GMT",
        "Tue, 14 Nov 2023 22:13:20 +9999",
        "9" * 5000,
    ],
)
def test_garbage(text: str) -> None:
    """
    What is no date gives no time, and no exception.
    """
    assert http_date(text) is None


@given(st.text() | st.from_regex(r"\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ [-+\w]+"))
def test_any_text(text: str) -> None:
    """
    Whatever a header holds, there is a time in range or none.
    """
    seconds = http_date(text)

    assert seconds is None or 0 <= seconds < 253_370_764_800
