"""
Failures that hold no vendor's code: what the HTTP status says, and when to come back.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import Failure, FailureKind
from exporter.vendors import APIS
from exporter.vendors.replies import retry_after
from tests.vendors.examples import outcome

SENT = "Tue, 14 Nov 2023 22:13:20 GMT"


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"{}", b"[]"])
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, FailureKind.MISCONFIGURED),
        (304, FailureKind.MISCONFIGURED),
        (400, FailureKind.MISCONFIGURED),
        (403, FailureKind.MISCONFIGURED),
        (404, FailureKind.MISCONFIGURED),
        (407, FailureKind.MISCONFIGURED),
        (429, FailureKind.RATE_LIMITED),
        (500, FailureKind.TRANSIENT),
        (502, FailureKind.TRANSIENT),
        (504, FailureKind.TRANSIENT),
        (599, FailureKind.TRANSIENT),
        (999, FailureKind.TRANSIENT),
    ],
)
def test_status_without_a_vendor_code(api: str, status: int, kind: FailureKind, body: bytes) -> None:
    """
    A reply that is not the vendor's own is judged by its status.
    """
    failed = outcome(api, body, status=status)

    assert isinstance(failed, Failure)
    assert (kind, f"http_{status}") == (failed.kind, failed.code)
    if kind is FailureKind.MISCONFIGURED:
        assert "check" in failed.words


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("status", [429, 503])
def test_wait_that_the_vendor_asks_for(api: str, status: int) -> None:
    """
    Retry-After comes along with any failure that ends by waiting.
    """
    failed = outcome(api, b"", status=status, headers={"Retry-After": "30"})

    assert isinstance(failed, Failure)
    assert 30.0 == failed.retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "120"}, 120.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:14:50 GMT", "Date": SENT}, 90.0),
        ({"RETRY-AFTER": "Tue, 14 Nov 2023 22:13:00 GMT", "DATE": SENT}, 0.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:14:50 GMT"}, None),
        ({"Retry-After": "Tue, 14 Nov 2023 22:14:50 GMT", "Date": "today"}, None),
        ({"Retry-After": "Tue, 14 Nov 2023 22:14:50 -0000", "Date": SENT}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "9" * 5000}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """
    Seconds, or a date that is taken relative to the vendor's own clock; anything else is not understood.
    """
    assert seconds == retry_after(headers)


@given(wanted=st.text() | st.from_regex(r"\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ [-+\w]+"), sent=st.just(SENT) | st.text())
def test_any_retry_after(wanted: str, sent: str) -> None:
    """
    Whatever the headers hold, the answer is a wait that is not negative, or none.
    """
    seconds = retry_after({"Retry-After": wanted, "Date": sent})

    assert seconds is None or seconds >= 0
