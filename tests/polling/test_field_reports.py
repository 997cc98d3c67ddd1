"""
What other people's exporters and clients met in the field, played to this one: each is a report of somebody's.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.model import FailureKind
from exporter.states import SourceState
from tests.polling.answers import Answer, fails
from tests.polling.house import House, source
from tests.polling.vendor import Call
from tests.polling.virtual_time import in_virtual_time

TOKEN_ERRORS = {"ResponseMetadata": {"RequestId": "1", "Error": {"CodeN": 100026, "Code": "InvalidSecretToken"}}}
UNHEARD_OF = {"ResponseMetadata": {"RequestId": "1", "Error": {"CodeN": 100099, "Code": "TokenIsOld"}}}


@pytest.mark.parametrize("document", [TOKEN_ERRORS, UNHEARD_OF], ids=["documented", "unheard of"])
@in_virtual_time
async def test_expired_session_token_is_read_again(tmp_path: Path, document: object) -> None:
    """
    Temporary credentials expire: the vendor answers 401, and the next call has the token that the file holds by then,
    be the code a documented one or not.
    """
    token = tmp_path / "token"
    token.write_text("old-token")
    good = "old-token"

    def vendor(call: Call) -> Answer | None:
        given = call.request.headers["X-Security-Token"]
        return None if given == good else Answer(document, status=401)

    config = source("volcengine_rtc", 10, interval="1s", session_token_file="token")
    async with House(config, folder=tmp_path) as house:
        house.vendor.answer = vendor
        await house.passes(5)
        assert {"fresh": 10} == house.states("volcengine_rtc")
        good = "new-token"
        token.write_text("new-token")
        await house.passes(3)

        assert SourceState.OK == house.state("volcengine_rtc")
        assert {FailureKind.UNAUTHORIZED} == house.failed("volcengine_rtc").keys()
        assert {"fresh": 10} == house.states("volcengine_rtc")


@in_virtual_time
async def test_too_many_requests_of_zim_slow_the_budget_down() -> None:
    """
    ZIM's code 7 says that calls come too often: fewer are made, not more.
    """
    async with House(source("zego_zim", 10, interval="1s")) as house:
        await house.passes(5)
        before = len(house.writes("zego_zim", since=2)) / 3
        began = house.now
        house.vendor.answer = lambda call: fails(call.api, 7)
        await house.passes(6)

        assert {FailureKind.RATE_LIMITED} == house.failed("zego_zim").keys()
        assert house.budgets["zego_zim:1234567890"].pace <= 10
        assert len(house.writes("zego_zim", since=began + 2)) / 4 < before


@in_virtual_time
async def test_failed_authentication_of_zim_is_what_it_is_called() -> None:
    """
    ZIM's code 3 puts the source into the state that says so.
    """
    async with House(source("zego_zim", 2)) as house:
        house.vendor.answer = lambda call: fails(call.api, 3)
        await house.passes(3)

        assert SourceState.UNAUTHORIZED == house.state("zego_zim")
