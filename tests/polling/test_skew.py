"""
The vendor's clock beside ours, and when calls are stamped with it.
"""

from __future__ import annotations

from email.utils import formatdate

import pytest

from exporter.polling.skew import ClockSkew

NOW = 1_700_000_000.0


def reply(ahead: float) -> dict[str, str]:
    """What a vendor says of the time whose clock is so many seconds ahead of ours."""
    return {"date": formatdate(NOW + ahead, usegmt=True)}


def test_nothing_is_known_at_first() -> None:
    """
    Before a reply told, there is no skew, and calls are stamped with our time.
    """
    skew = ClockSkew()

    assert skew.skew is None
    assert 0.0 == skew.shift
    assert not skew.follow()
    assert not skew.notable


@pytest.mark.parametrize("ahead", [0.0, 59.0, -59.0, 3_600.0, -86_400.0])
def test_skew_is_measured(ahead: float) -> None:
    """
    Our clock minus the vendor's, give or take a second. To measure it moves no stamp.
    """
    skew = ClockSkew()
    skew.measure(reply(ahead), NOW)

    assert skew.skew == pytest.approx(-ahead, abs=1)
    assert 0.0 == skew.shift


@pytest.mark.parametrize(
    "date",
    [
        "",
        "-",
        "17 June , 2022",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Thu, 01 Jan 9999999999 00:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        formatdate(NOW + 25 * 3600 + 5, usegmt=True),
        formatdate(NOW - 25 * 3600 - 5, usegmt=True),
    ],
)
def test_date_that_cannot_be_is_ignored(date: str) -> None:
    """
    More than 25 hours off is no skew but nonsense, or a cache: what was known before still holds.
    """
    skew = ClockSkew()
    skew.measure(reply(120), NOW)
    known = skew.skew
    skew.follow()

    assert not skew.measure({"date": date}, NOW)
    assert known == skew.skew == skew.shift


@pytest.mark.parametrize(("ahead", "follows"), [(59.0, False), (-58.0, False), (62.0, True), (-62.0, True)])
def test_notable_skew_alone_is_followed(ahead: float, follows: bool) -> None:
    """
    A clock that is less than a minute off explains no refusal.
    """
    skew = ClockSkew()
    skew.measure(reply(ahead), NOW)

    assert follows == skew.notable == skew.follow()
    assert not skew.follow()  # once is enough
    assert (skew.skew if follows else 0.0) == skew.shift


def test_shift_lasts_until_the_clocks_agree_again() -> None:
    """
    It goes along with the vendor's clock; when that is less than a minute off, calls are stamped with our time.
    """
    skew = ClockSkew()
    skew.measure(reply(120), NOW)
    assert skew.follow()
    assert not skew.measure(reply(300), NOW)
    assert -300 == pytest.approx(skew.shift, abs=1)
    assert not skew.measure({}, NOW)
    assert -300 == pytest.approx(skew.shift, abs=1)

    assert skew.measure(reply(30), NOW)
    assert 0.0 == skew.shift
    assert not skew.measure(reply(30), NOW)


def test_clock_that_goes_wrong_again_is_not_followed_without_a_refusal() -> None:
    """
    A vendor may accept stamps that are two minutes off.
    """
    skew = ClockSkew()
    skew.measure(reply(120), NOW)
    skew.follow()
    skew.measure(reply(0), NOW)
    skew.measure(reply(120), NOW)

    assert 0.0 == skew.shift
    assert skew.notable
