"""
Failures in the log: the first of a kind, then silence, then the recovery with its duration; never a false one.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from exporter.model import Failure, FailureKind
from exporter.polling.journal import Journal
from exporter.states import SourceState
from exporter.vendors import APIS
from tests.polling.answers import BAD_GATEWAY, MISCONFIGURED, RATE_LIMITED, REFUSED, UNAUTHORIZED, Answer, always, fails
from tests.polling.house import House, LogLines, named, source
from tests.polling.vendor import Call
from tests.polling.virtual_time import in_virtual_time

TIMEOUT = Failure(FailureKind.TRANSIENT, "timeout", "no complete reply")
HANDFUL = 11


def journal() -> tuple[Journal, LogLines]:
    """A journal that calls 20 s without a failure quiet."""
    log = LogLines()
    return Journal(log, interval=10.0), log


def told(log: LogLines) -> list[tuple[str, str]]:
    """Level and event of every line."""
    return [(line.level, line.event) for line in log.lines]


def test_first_failure_silence_recovery() -> None:
    """
    The warning says what to mend and of which rooms, the recovery how long it took and how often it failed.
    """
    notes, log = journal()
    for second in range(10):
        notes.failed(TIMEOUT, ("a", "b", "c"), 100.0 + second)
    notes.recovered(112.5)

    warning, recovery = log.lines
    assert ("warning", "call failed") == (warning.level, warning.event)
    expected = {"reason": "transient", "code": "timeout", "meaning": TIMEOUT.words, "room": "a", "more_rooms": 2}
    assert expected == warning.values
    assert ("info", "calls recovered") == (recovery.level, recovery.event)
    assert {"reason": "transient", "duration": "12.5s", "failures": 10} == recovery.values


def test_kinds_are_told_apart() -> None:
    """
    A vendor that times out and one that refuses a signature are two stories.
    """
    notes, log = journal()
    for kind in FailureKind:
        notes.failed(Failure(kind, "x", "x"), (), 1.0)

    assert list(FailureKind) == [line.values["reason"] for line in log.lines]


def test_quiet_alone_is_no_recovery() -> None:
    """
    Between two trials a minute apart nothing fails, and nothing works either.
    """
    notes, log = journal()
    notes.failed(TIMEOUT, (), 0.0)
    notes.sweep(59.0, refusing=False)
    assert 1 == len(log.lines)

    notes.succeeded(60.0)
    notes.sweep(60.0, refusing=False)
    assert ("info", "calls recovered") == told(log)[1]
    assert "0.0s" == log.lines[1].values["duration"]


def test_refused_room_is_not_over_because_it_is_seldom_asked() -> None:
    """
    Other rooms' readings say nothing of it.
    """
    notes, log = journal()
    notes.failed(Failure(FailureKind.REFUSED, "2", "x"), ("b@d",), 0.0)
    notes.succeeded(50.0)
    notes.sweep(50.0, refusing=True)
    assert 1 == len(log.lines)
    notes.sweep(51.0, refusing=False)
    assert 2 == len(log.lines)


def test_recovery_of_the_source_does_not_end_a_rate_limit() -> None:
    """
    That is the budget's affair.
    """
    notes, log = journal()
    notes.failed(Failure(FailureKind.RATE_LIMITED, "206", "x"), (), 0.0)
    notes.recovered(1.0)

    assert 1 == len(log.lines)


def test_relapses_are_silent_until_all_is_quiet() -> None:
    """
    A gateway of which every other instance refuses the signature: two warnings and the recovery, and when that proved
    false once more two warnings and at last a recovery, however long it goes on.
    """
    notes, log = journal()
    refused = Failure(FailureKind.UNAUTHORIZED, "70003", "x")
    for second in range(10_000):
        notes.failed(refused, (), float(second))
        notes.entered("unauthorized", refused, float(second))
        notes.succeeded(second + 0.5)
        notes.recovered(second + 0.5)
        notes.sweep(second + 0.6, refusing=False)
    notes.sweep(10_039.0, refusing=False)

    assert 6 == len(log.lines)
    assert "calls recovered" == log.lines[-1].event
    assert 9_999 == log.lines[-1].values["failures"]


def test_exception_is_traced_once_for_each_place() -> None:
    """
    A bug that meets every call leaves one traceback; another bug leaves its own.
    """
    notes, log = journal()
    for _ in range(100):
        for body in ("1 / 0", "int('x')"):
            try:
                exec(body)  # noqa: S102 two places where something raises
            except (ZeroDivisionError, ValueError) as error:
                notes.raised(error)

    assert [("error", "unexpected error in a poll")] * 2 == told(log)
    assert [ZeroDivisionError, ValueError] == [type(line.values["exc_info"]) for line in log.lines]


def codes(api: str) -> list[Answer]:
    """One failure of every kind that the API knows."""
    tables = (RATE_LIMITED, UNAUTHORIZED, MISCONFIGURED, REFUSED)
    return [BAD_GATEWAY, Answer(b"garbage"), *(fails(api, table[api]) for table in tables if api in table)]


@pytest.mark.parametrize("share", [0.1, 1.0])
@pytest.mark.parametrize("which", range(6))
@in_virtual_time
async def test_failures_cost_a_handful_of_lines(share: float, which: int) -> None:
    """
    Whatever fails, and whether every call does or one in ten: the log stays readable for half an hour and more.
    """
    chance = random.Random(3)
    async with House(source("zego_rtc", 60)) as house:
        answer = codes("zego_rtc")[which]
        house.vendor.answer = lambda call: answer if chance.random() < share else None
        house.log.lines.clear()  # the first one tells where it listens
        await house.passes(1800)

        assert HANDFUL >= len(house.log.lines), [(line.event, line.values) for line in house.log.lines][:20]


@pytest.mark.soak
@in_virtual_time
async def test_ten_thousand_failing_calls() -> None:
    """
    A storm of all kinds at once, ended: a warning and a recovery for each.
    """
    chance = random.Random(3)
    async with House(source("tencent_im", 1500)) as house:
        storm = codes("tencent_im")[:2]
        house.vendor.answer = lambda call: chance.choice(storm) if chance.random() < 0.9 else None
        await house.passes(130)
        house.vendor.answer = lambda call: None
        await house.passes(60)

        assert 10_000 <= sum(house.failed("tencent_im").values())
        assert 2 * HANDFUL >= len(house.log.lines)
        assert SourceState.OK == house.state("tencent_im")


@pytest.mark.parametrize("share", [0.1, 1.0])
@in_virtual_time
async def test_bug_in_a_codec_is_logged_counted_and_survived(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An exception that nobody foresaw is traced once, counted each time, and the source goes on.
    """
    chance = random.Random(3)
    async with House(source("zego_rtc", 100)) as house:
        await house.passes(15)
        codec = APIS["zego_rtc"]
        reply = codec.reply

        def buggy(*arguments: Any) -> Any:
            if chance.random() < share:
                raise ZeroDivisionError("an honest mistake")
            return reply(*arguments)

        monkeypatch.setattr(codec, "reply", buggy)
        await house.passes(120)
        errors = house.telemetry.unexpected_errors
        house.expected_errors = errors
        assert errors == house.failed("zego_rtc")[FailureKind.TRANSIENT]
        assert 5 <= errors
        (line,) = house.lines("error")
        assert isinstance(line.values["exc_info"], ZeroDivisionError)
        assert HANDFUL >= len(house.log.lines)

        monkeypatch.setattr(codec, "reply", reply)
        await house.passes(75)
        assert {"fresh": 100} == house.states("zego_rtc")


def secretive(call: Call) -> bool:
    """Whether nothing that the request hides is in what is shown of it."""
    return not any(secret in repr(call.request) for secret in call.request.secrets)


@pytest.mark.parametrize("api", APIS)
@in_virtual_time
async def test_no_line_tells_a_secret(api: str) -> None:
    """
    Failures of every kind name codes and rooms, never what signed the call.
    """
    async with House(source(api, named(3))) as house:
        for answer in codes(api):
            house.vendor.answer = always(answer)
            await house.passes(70)

        shown = str(house.log.lines) + str(house.telemetry.sources[api].failures)
        secrets = {secret for call in house.vendor.calls for secret in call.request.secrets}
        assert not [secret for secret in secrets if secret in shown]
        assert all(map(secretive, house.vendor.calls))
