"""
Refused signatures: one fresh attempt, the vendor's time if the clocks differ, then a trial a minute.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.model import FailureKind
from exporter.states import SourceState
from exporter.vendors import APIS
from tests.polling.answers import (
    UNAUTHORIZED,
    Answer,
    always,
    fails,
)
from tests.polling.house import House, source, whole_gaps
from tests.polling.vendor import Call
from tests.polling.virtual_time import in_virtual_time, until

OLD, NEW = "0ld-s3cret", "n3w-s3cret"


def signed_with(secret: str) -> Callable[[Call], Answer | None]:
    """ZEGO, which knows this ServerSecret alone."""

    def check(call: Call) -> Answer | None:
        (app,), (nonce,), (time,), (signature,) = (
            call.query[name] for name in ("AppId", "SignatureNonce", "Timestamp", "Signature")
        )
        right = hashlib.md5(f"{app}{nonce}{secret}{time}".encode(), usedforsecurity=False).hexdigest()
        return None if signature == right else fails(call.api, 100000005)

    return check


@in_virtual_time
async def test_unauthorized_secret_is_read_again_at_once(tmp_path: Path) -> None:
    """
    The secret was changed in its file and at the vendor's: the one fresh signature is made with the new one.
    """
    secret = tmp_path / "secret"
    secret.write_text(OLD)
    async with House(source("zego_rtc", 950, server_secret_file="secret"), folder=tmp_path) as house:
        house.vendor.answer = signed_with(OLD)
        await house.passes(20)
        secret.write_text(NEW)
        house.vendor.answer = signed_with(NEW)
        await house.passes(1.5)

        assert SourceState.OK == house.state("zego_rtc")
        assert 12 >= house.failed("zego_rtc")[FailureKind.UNAUTHORIZED]
        assert OLD not in str(house.log.lines)
        assert NEW not in str(house.log.lines)


@in_virtual_time
async def test_unauthorized_secret_that_is_mended_later(tmp_path: Path) -> None:
    """
    The file is mended minutes after the vendor's console: the next trial reads it.
    """
    secret = tmp_path / "secret"
    secret.write_text(OLD)
    async with House(source("zego_rtc", 9, server_secret_file="secret"), folder=tmp_path) as house:
        house.vendor.answer = signed_with(NEW)
        await house.passes(200)
        assert SourceState.UNAUTHORIZED == house.state("zego_rtc")
        secret.unlink()
        await house.passes(130)
        secret.write_text(NEW)
        await house.passes(62)

        assert SourceState.OK == house.state("zego_rtc")
        assert 1 == len([line for line in house.lines("warning") if "read again" in line.event])


@pytest.mark.parametrize("api", APIS)
@in_virtual_time
async def test_unauthorized_is_tried_once_afresh_and_then_once_a_minute(api: str) -> None:
    """
    After the first refusal a fresh signature is tried at once; then there is a trial a minute, and the first success
    ends it.
    """
    async with House(source(api, 1)) as house:
        house.vendor.answer = always(fails(api, UNAUTHORIZED[api]))
        await house.passes(200)
        assert [0, 60, 60, 60] == whole_gaps(house.writes())
        assert SourceState.UNAUTHORIZED == house.state(api)
        assert not house.telemetry.sources[api].figures(house.loop.time()).up

        house.vendor.answer = lambda call: None
        await until(lambda: house.state(api) is SourceState.OK, within=61)
        assert {"fresh": 1} == house.states(api)


@pytest.mark.parametrize("worked", [0.0, 30.0])
@in_virtual_time
async def test_unauthorized_signature_is_not_tried_twice(worked: float) -> None:
    """
    A UserSig that was refused is replaced, even if it was made a moment ago. Tencent stops listening to whoever tries
    too many, so there is one a minute at most.
    """
    async with House(source("tencent_im", 1)) as house:
        await house.passes(worked)
        since = house.now
        house.vendor.answer = always(fails("tencent_im", 70001))
        await house.passes(400)

        calls = house.vendor.of("tencent_im", house.began + since)
        refused, fresh, *_ = [call.query["usersig"][0] for call in calls]
        assert refused != fresh
        assert 8 >= len(calls)


@pytest.mark.parametrize("ahead", [900.0, -900.0, 86_400.0])
@in_virtual_time
async def test_unauthorized_while_the_clocks_differ(ahead: float) -> None:
    """
    The vendor's clock is more than ten minutes off ours: the one retry is stamped with its time and succeeds, the log
    says so, and when the clocks agree again stamps are our own.
    """
    async with House(source("zego_rtc", 100)) as house:
        vendor = house.vendor

        def ten_minutes(call: Call) -> Answer | None:
            off = abs(int(call.query["Timestamp"][0]) - (house.clock.unix() + vendor.clock_ahead))
            return fails("zego_rtc", 100000004) if off > 600 else None

        vendor.answer = ten_minutes
        await house.passes(20)
        vendor.clock_ahead = ahead
        await house.passes(20)
        assert SourceState.OK == house.state("zego_rtc")
        assert -ahead == pytest.approx(house.telemetry.sources["zego_rtc"].clock.skew, abs=1)
        assert 2 >= house.failed("zego_rtc")[FailureKind.UNAUTHORIZED]
        (line,) = [line for line in house.lines("warning") if "clock skew is large" in line.event]
        assert -ahead == pytest.approx(line.values["skew_seconds"], abs=1)

        vendor.clock_ahead = 0.0
        await house.passes(20)
        assert SourceState.OK == house.state("zego_rtc")
        assert 4 >= house.failed("zego_rtc")[FailureKind.UNAUTHORIZED]
        assert {"fresh": 100} == house.states("zego_rtc")


@in_virtual_time
async def test_unauthorized_skew_that_passes_together_with_the_revoked_secret(tmp_path: Path) -> None:
    """
    Two things are wrong at once and are mended one after the other: no trial goes on with the time of a clock that is
    right again.
    """
    secret = tmp_path / "secret"
    secret.write_text(OLD)
    async with House(source("zego_rtc", 10, server_secret_file="secret"), folder=tmp_path) as house:
        vendor = house.vendor
        known = NEW

        def strict(call: Call) -> Answer | None:
            off = abs(int(call.query["Timestamp"][0]) - (house.clock.unix() + vendor.clock_ahead))
            return fails("zego_rtc", 100000004) if off > 600 else signed_with(known)(call)

        vendor.answer = strict
        vendor.clock_ahead = 900.0
        await house.passes(150)
        vendor.clock_ahead = 0.0
        await house.passes(150)
        secret.write_text(NEW)
        await house.passes(65)

        assert SourceState.OK == house.state("zego_rtc")
        assert 0.0 == house.telemetry.sources["zego_rtc"].clock.shift


@in_virtual_time
async def test_unauthorized_too_often_silences_the_app_for_a_minute() -> None:
    """
    Tencent's 70050: every source of that app waits 60 s, other apps and vendors do not.
    """
    other_app = source("tencent_im", 20, name="other", sdk_app_id=1400000001)
    async with House(source("tencent_im", 20), source("tencent_live", 20), other_app, source("zego_rtc")) as house:
        await house.passes(15)
        house.vendor.answer = lambda call: fails("tencent_im", 70050) if call.source == "tencent_im" else None
        await until(lambda: house.state("tencent_im") is SourceState.UNAUTHORIZED, within=11)
        since = house.now + 0.06
        house.vendor.answer = lambda call: None
        await house.passes(90)

        for name in ("tencent_im", "tencent_live"):
            assert 59.5 <= house.writes(name, since=since)[0] - since <= 61
            assert SourceState.OK == house.state(name)
        for name in ("other", "zego_rtc"):
            assert 11 >= max(house.gaps(name))
