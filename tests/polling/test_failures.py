"""
Each row of the failure table: what polling does when a call fails, and how that ends.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from exporter.metrics.table import RoomState
from exporter.metrics.telemetry import SourceState
from exporter.model import Failure, FailureKind
from tests.polling.house import House, named, source
from tests.polling.vendor import BAD_GATEWAY, HANGS, RATE_LIMITED, Answer, Call, SlidingSecond, fails
from tests.polling.virtual_time import in_virtual_time, until

APIS = ["zego_rtc", "zego_zim", "tencent_im", "tencent_live", "volcengine_rtc"]
RESET = Failure(FailureKind.TRANSIENT, "disconnected", "the connection broke before the reply was complete")
UNAUTHORIZED: dict[str, object] = {
    "zego_rtc": 100000005,
    "zego_zim": 100000005,
    "tencent_im": 70003,
    "tencent_live": 70003,
    "volcengine_rtc": "SignatureDoesNotMatch",
}
MISCONFIGURED: dict[str, object] = {
    "zego_rtc": 100000011,
    "zego_zim": 100000017,
    "tencent_im": 60010,
    "tencent_live": 100007,
    "volcengine_rtc": "ServiceNotFound",
}
REFUSED: dict[str, object] = {
    "zego_rtc": 2,
    "zego_zim": 660000002,
    "tencent_im": 10015,
    "tencent_live": 100006,
    "volcengine_rtc": "InvalidParameter.IllegalRoomID",
}


def always(answer: Answer | Failure) -> Callable[[Call], Answer | Failure]:
    """The same answer to every call."""
    return lambda call: answer


def refuses(bad: set[str]) -> Callable[[Call], Answer | None]:
    """Refuse every call that asks for one of these rooms."""
    return lambda call: fails(call.api, REFUSED[call.api]) if bad.intersection(call.rooms) else None


def state(house: House, name: str) -> SourceState:
    """The source's state as it is published."""
    return house.telemetry.sources[name].state


def failed(house: House, name: str) -> dict[FailureKind, int]:
    """Failed calls by kind, those kinds that there were."""
    return {kind: calls for kind, calls in house.telemetry.sources[name].failed_calls.items() if calls}


def gaps(moments: list[float]) -> list[float]:
    """Whole seconds between moments."""
    return [round(later - earlier) for earlier, later in pairwise(moments)]


# rate_limited


@pytest.mark.parametrize("api", APIS)
@in_virtual_time
async def test_rate_limited_halves_the_pace_until_it_has_climbed_back(api: str) -> None:
    """
    One rejection halves the budget's pace, and its rooms are asked again soon; ten minutes later all is as before.
    """
    rooms = 2000 if api == "zego_rtc" else 200
    async with House(source(api, rooms, rate_limit=10, interval="10s", max_staleness="1m")) as house:
        (budget,) = house.budgets.values()
        await house.passes(20)
        house.vendor.answer = always(fails(api, RATE_LIMITED[api]))
        await until(lambda: budget.pace < budget.limit, within=1, step=0.001)
        house.vendor.answer = lambda call: None

        await house.passes(1)
        assert budget.limit / 2 == budget.pace
        assert {FailureKind.RATE_LIMITED} == failed(house, api).keys()
        since = house.now
        await house.passes(5)
        assert budget.limit / 2 * 0.9 <= len(house.writes(api, since=since)) / 5 <= budget.limit / 2 * 1.1

        await house.passes(45)
        assert 0.9 * budget.limit == pytest.approx(budget.pace)
        await house.passes(300)
        assert budget.limit == budget.pace
        assert SourceState.OK == state(house, api)


@in_virtual_time
async def test_rate_limited_calls_that_were_under_way_do_not_halve_again() -> None:
    """
    A slow vendor rejects a second's worth of calls at once: that is one episode, though each of them is counted.
    """
    async with House(source("zego_rtc", 950)) as house:
        (budget,) = house.budgets.values()
        await house.passes(20)
        house.vendor.latency = lambda: 0.9
        house.vendor.answer = always(fails("zego_rtc", 206))
        await house.passes(0.95)
        house.vendor.answer = lambda call: None
        await house.passes(3)

        assert 5.0 == budget.pace
        assert 8 <= failed(house, "zego_rtc")[FailureKind.RATE_LIMITED] <= 10


@in_virtual_time
async def test_rate_limited_pace_has_a_floor_and_comes_back_from_it() -> None:
    """
    While the vendor turns everything away a tenth of the limit goes on; once it does not, nine tenths are back within
    95 s.
    """
    async with House(source("zego_rtc", 950)) as house:
        (budget,) = house.budgets.values()
        house.vendor.answer = always(fails("zego_rtc", 206))
        await house.passes(60)
        assert 1.0 == budget.pace
        assert 10 == pytest.approx(len(house.writes(since=50)), abs=1)

        house.vendor.answer = lambda call: None
        await house.passes(95)
        assert 9.0 == budget.pace
        assert {"fresh": 950} == house.states("zego_rtc")


@in_virtual_time
async def test_rate_limited_room_does_not_slow_the_app() -> None:
    """
    ZEGO's 207 is the limit of one room: its batch waits, the budget keeps its pace.
    """
    async with House(source("zego_rtc", 100)) as house:
        (budget,) = house.budgets.values()
        await house.passes(20)
        bad = named(100)[0]
        house.vendor.answer = lambda call: fails("zego_rtc", 207) if bad in call.rooms else None
        await house.passes(20)
        assert budget.limit == budget.pace
        assert {"held": 10, "fresh": 90} == house.states("zego_rtc")

        house.vendor.answer = lambda call: None
        await house.passes(11)
        assert {"fresh": 100} == house.states("zego_rtc")


@pytest.mark.parametrize(("asked", "kept"), [("30", 30), ("7200", 300)])
@in_virtual_time
async def test_rate_limited_with_retry_after(asked: str, kept: int) -> None:
    """
    The vendor's wish for silence is granted to the whole budget, for five minutes at most.
    """
    async with House(source("zego_rtc", 950), source("zego_rtc", 9, name="other")) as house:
        await house.passes(20)
        house.vendor.answer = always(Answer(b"", 429, {"retry-after": asked}))
        await house.passes(0.5)
        house.vendor.answer = lambda call: None
        since = house.now
        await house.passes(kept + 10)

        assert kept - 1 <= house.writes(since=since)[0] - since <= kept + 1


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
@in_virtual_time
async def test_rate_limited_by_a_rival(share: float) -> None:
    """
    Somebody else takes part of the quota for an hour: our calls settle near what is left, at least 85 % of it are used,
    and there are fewer than 30 rejection episodes.
    """
    async with House(source("zego_rtc", 1500)) as house:
        (budget,) = house.budgets.values()
        house.vendor.limits[budget.name] = SlidingSecond(10, house.loop.time(), rival=10 * share)
        episodes = Counter[bool]()
        rejected = budget.pacer.rejected
        budget.pacer.rejected = lambda *args: bool(episodes.update([began := rejected(*args)]) or began)  # type: ignore[method-assign]  # counts
        await house.passes(3600)

        accepted = sum(call.good for call in house.vendor.calls)
        assert 0.85 * 3600 * 10 * (1 - share) <= accepted
        assert 30 > episodes[True]


# transient


@pytest.mark.parametrize("answer", [BAD_GATEWAY, HANGS, RESET, fails("zego_rtc", 100000015), fails("zego_rtc", 154)])
@in_virtual_time
async def test_transient_room_is_asked_again_with_backoff(answer: Answer | Failure) -> None:
    """
    A failed batch is asked again after full-jitter exponential backoff, at the latest when its next poll is due, while
    the others go on; its reading stays published, and the first success ends it.
    """
    async with House(source("zego_rtc", 50, interval="60s", timeout="1s")) as house:
        await house.passes(30)
        bad = named(50)[0]
        house.vendor.answer = lambda call: answer if bad in call.rooms else None
        await house.passes(40)
        batches = [call for call in house.vendor.calls if bad in call.rooms and call.at - house.began > 30]
        delays = [later.at - earlier.at for earlier, later in pairwise(batches)]
        assert 4 <= len(delays)
        assert all(delay <= 1.1 + 0.5 * 2**attempt for attempt, delay in enumerate(delays))
        assert batches[-1].rooms == tuple(batches[-1].rooms)
        assert {"held": 10, "fresh": 40} == house.states("zego_rtc")
        assert SourceState.OK == state(house, "zego_rtc")

        house.vendor.answer = lambda call: None
        await house.passes(61)
        assert {"fresh": 50} == house.states("zego_rtc")


@in_virtual_time
async def test_transient_backoff_never_exceeds_the_interval() -> None:
    """
    However long it goes on, a failing room is asked at least once an interval.
    """
    async with House(source("zego_zim", 20)) as house:
        bad = named(20)[7]
        house.vendor.answer = lambda call: BAD_GATEWAY if bad in call.rooms else None
        await house.passes(600)

        moments = [call.at for call in house.vendor.calls if bad in call.rooms]
        assert 10.5 >= max(later - earlier for earlier, later in pairwise(moments))
        assert 120 >= len(moments)


@in_virtual_time
async def test_transient_retries_take_a_fifth_of_the_slots_at_most() -> None:
    """
    Where every slot is wanted, rooms that keep failing do not crowd out the others.
    """
    async with House(source("volcengine_rtc", 600)) as house:
        bad = set(named(600)[::2])
        house.vendor.answer = lambda call: BAD_GATEWAY if bad.intersection(call.rooms) else None
        await house.passes(120)

        last: dict[str, float] = {}
        retries = 0
        calls = [call for call in house.vendor.calls if call.at - house.began > 30]
        for call in house.vendor.calls:
            retries += call.at - house.began > 30 and call.at - last.get(call.rooms[0], -math.inf) < 10
            last[call.rooms[0]] = call.at
        assert 0.97 * 40 * 90 <= len(calls)
        assert 0.1 * len(calls) <= retries <= 0.2 * len(calls) + 1


@pytest.mark.parametrize("answer", [BAD_GATEWAY, HANGS, RESET])
@in_virtual_time
async def test_transient_failures_alone_open_the_circuit(answer: Answer | Failure) -> None:
    """
    After five failures in a row and five seconds without a success only trials are made, 5 s apart at first and 60 s at
    last; the first success closes the circuit, and every room is read again within an interval.
    """
    async with House(source("zego_rtc", 900, timeout="1s")) as house:
        await house.passes(30)
        house.vendor.answer = always(answer)
        await until(lambda: state(house, "zego_rtc") is SourceState.CIRCUIT_OPEN, within=7)
        assert 5 <= house.now - 30
        opened = house.now
        await house.passes(2)
        before = len(house.vendor.calls)
        await house.passes(300)
        trials = house.writes(since=opened + 1.2)
        assert [5, 10, 20, 40, 60, 60, 60] == pytest.approx(gaps([opened, *trials]), abs=1.1)
        assert len(trials) == len(house.vendor.calls) - before
        assert {"unknown": 900} == house.states("zego_rtc")

        house.vendor.answer = lambda call: None
        took = await until(lambda: state(house, "zego_rtc") is SourceState.OK, within=62)
        assert took <= 61
        await house.passes(10)
        assert {"fresh": 900} == house.states("zego_rtc")


@in_virtual_time
async def test_transient_failures_with_a_success_between_open_no_circuit() -> None:
    """
    A vendor of which one call in ten succeeds is polled on.
    """
    async with House(source("zego_rtc", 500)) as house:
        turn = iter(range(10**9))
        house.vendor.answer = lambda call: None if next(turn) % 10 == 0 else BAD_GATEWAY
        opened = []
        for _ in range(120):
            await house.passes(1)
            opened.append(state(house, "zego_rtc"))

        assert {SourceState.OK} == set(opened)


@in_virtual_time
async def test_transient_failures_of_a_quiet_source_open_no_circuit_too_soon() -> None:
    """
    Four failures are not five: a source of one room that fails now and then stays ok.
    """
    async with House(source("zego_zim", 1)) as house:
        await house.passes(15)
        attempts = len(house.vendor.calls)
        house.vendor.answer = lambda call: BAD_GATEWAY if len(house.vendor.calls) < attempts + 5 else None
        await house.passes(60)

        assert 4 == failed(house, "zego_zim")[FailureKind.TRANSIENT]
        assert not [line for line in house.log.lines if line.event == "source is in trouble"]
        assert {"fresh": 1} == house.states("zego_zim")


# unauthorized


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
    secret.write_text("old")
    async with House(source("zego_rtc", 950, server_secret_file="secret"), folder=tmp_path) as house:
        house.vendor.answer = signed_with("old")
        await house.passes(20)
        secret.write_text("new")
        house.vendor.answer = signed_with("new")
        await house.passes(1.5)

        assert SourceState.OK == state(house, "zego_rtc")
        assert 12 >= failed(house, "zego_rtc")[FailureKind.UNAUTHORIZED]
        assert "old" not in str(house.log.lines)
        assert "new" not in str(house.log.lines)


@in_virtual_time
async def test_unauthorized_secret_that_is_mended_later(tmp_path: Path) -> None:
    """
    The file is mended minutes after the vendor's console: the next trial reads it.
    """
    secret = tmp_path / "secret"
    secret.write_text("old")
    async with House(source("zego_rtc", 9, server_secret_file="secret"), folder=tmp_path) as house:
        house.vendor.answer = signed_with("new")
        await house.passes(200)
        assert SourceState.UNAUTHORIZED == state(house, "zego_rtc")
        secret.unlink()
        await house.passes(130)
        secret.write_text("new")
        await house.passes(62)

        assert SourceState.OK == state(house, "zego_rtc")
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
        assert [0, 60, 60, 60] == gaps(house.writes())
        assert SourceState.UNAUTHORIZED == state(house, api)
        assert not house.telemetry.sources[api].figures(house.loop.time()).up

        house.vendor.answer = lambda call: None
        await until(lambda: state(house, api) is SourceState.OK, within=61)
        assert {"fresh": 1} == house.states(api)


@in_virtual_time
async def test_unauthorized_makes_one_fresh_signature_per_episode() -> None:
    """
    A UserSig that is refused is replaced once: Tencent stops listening to whoever tries too many.
    """
    async with House(source("tencent_im", 1)) as house:
        await house.passes(5)
        house.vendor.answer = always(fails("tencent_im", 70001))
        await house.passes(400)

        signatures = [call.query["usersig"][0] for call in house.vendor.calls]
        assert 2 == len(set(signatures))
        assert signatures[0] != signatures[-1]


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
        assert SourceState.OK == state(house, "zego_rtc")
        assert -ahead == pytest.approx(house.telemetry.sources["zego_rtc"].clock_skew, abs=1)
        assert 2 >= failed(house, "zego_rtc")[FailureKind.UNAUTHORIZED]
        (line,) = [line for line in house.lines("warning") if "clock skew is large" in line.event]
        assert -ahead == pytest.approx(line.values["skew_seconds"], abs=1)

        vendor.clock_ahead = 0.0
        await house.passes(20)
        assert SourceState.OK == state(house, "zego_rtc")
        assert 4 >= failed(house, "zego_rtc")[FailureKind.UNAUTHORIZED]
        assert {"fresh": 100} == house.states("zego_rtc")


@in_virtual_time
async def test_unauthorized_skew_that_passes_together_with_the_revoked_secret(tmp_path: Path) -> None:
    """
    Two things are wrong at once and are mended one after the other: no trial goes on with the time of a clock that is
    right again.
    """
    secret = tmp_path / "secret"
    secret.write_text("old")
    async with House(source("zego_rtc", 10, server_secret_file="secret"), folder=tmp_path) as house:
        vendor = house.vendor
        known = "new"

        def strict(call: Call) -> Answer | None:
            off = abs(int(call.query["Timestamp"][0]) - (house.clock.unix() + vendor.clock_ahead))
            return fails("zego_rtc", 100000004) if off > 600 else signed_with(known)(call)

        vendor.answer = strict
        vendor.clock_ahead = 900.0
        await house.passes(150)
        vendor.clock_ahead = 0.0
        await house.passes(150)
        secret.write_text("new")
        await house.passes(65)

        assert SourceState.OK == state(house, "zego_rtc")
        assert 0.0 == house.telemetry.sources["zego_rtc"].clock_shift


@in_virtual_time
async def test_unauthorized_too_often_silences_the_app_for_a_minute() -> None:
    """
    Tencent's 70050: every source of that app waits 60 s, other apps and vendors do not.
    """
    other_app = source("tencent_im", 20, name="other", sdk_app_id=1400000001)
    async with House(source("tencent_im", 20), source("tencent_live", 20), other_app, source("zego_rtc")) as house:
        await house.passes(15)
        house.vendor.answer = lambda call: fails("tencent_im", 70050) if call.source == "tencent_im" else None
        await until(lambda: state(house, "tencent_im") is SourceState.UNAUTHORIZED, within=11)
        since = house.now + 0.06
        house.vendor.answer = lambda call: None
        await house.passes(90)

        for name in ("tencent_im", "tencent_live"):
            assert 59.5 <= house.writes(name, since=since)[0] - since <= 61
            assert SourceState.OK == state(house, name)
        for name in ("other", "zego_rtc"):
            assert 11 >= max(house.gaps(name))


# misconfigured


@pytest.mark.parametrize("api", APIS)
@in_virtual_time
async def test_misconfigured_is_tried_once_a_minute(api: str) -> None:
    """
    There is one trial a minute, the log says once what to mend, and the first success ends it.
    """
    async with House(source(api, 500)) as house:
        house.vendor.answer = always(fails(api, MISCONFIGURED[api]))
        await house.passes(2)
        assert SourceState.MISCONFIGURED == state(house, api)
        since = house.now
        await house.passes(240)
        assert [60, 60, 60] == gaps(house.writes(since=since))
        warnings = [line for line in house.lines("warning") if line.event == "call failed"]
        assert 1 == len(warnings)
        assert any(word in str(warnings[0].values["meaning"]) for word in ("check", "enable", "set", "buy"))

        house.vendor.answer = lambda call: None
        await until(lambda: state(house, api) is SourceState.OK, within=61)
        await house.passes(26)
        assert {"fresh": 500} == house.states(api)


@in_virtual_time
async def test_misconfigured_is_tried_at_once_after_a_reload() -> None:
    """
    Whoever reloads may just have mended it.
    """
    config = source("zego_zim", 5)
    async with House(config) as house:
        house.vendor.answer = always(fails("zego_zim", 100000017))
        await house.passes(10)
        house.vendor.answer = lambda call: None
        house.load(config)
        await house.passes(1)

        assert SourceState.OK == state(house, "zego_zim")


@pytest.mark.parametrize("busy", [9, 350])
@in_virtual_time
async def test_misconfigured_room_is_not_taken_for_its_source(busy: int) -> None:
    """
    What the vendor says of the app when asked for one certain room is that room's fault as long as others are read: it
    is asked ever more seldom, and the source is ok.
    """
    async with House(source("volcengine_rtc", busy)) as house:
        await house.passes(20)
        bad = named(busy)[3]
        house.vendor.answer = lambda call: fails(call.api, "InvalidParameter.Odd") if bad in call.rooms else None
        await house.passes(300)

        assert SourceState.OK == state(house, "volcengine_rtc")
        assert {bad} == house.rooms_in("volcengine_rtc", RoomState.REFUSED)
        assert 4 >= len([call for call in house.vendor.calls if bad in call.rooms and call.at - house.began > 21])
        assert 11 >= max(house.gaps("volcengine_rtc"))


@in_virtual_time
async def test_misconfigured_batch_is_asked_one_by_one_while_others_are_read() -> None:
    """
    The same in batches: the batchmates of such a room are read again.
    """
    async with House(source("zego_rtc", 900)) as house:
        await house.passes(20)
        bad = named(900)[3]
        house.vendor.answer = lambda call: fails(call.api, 9) if bad in call.rooms else None
        await house.passes(60)

        assert SourceState.OK == state(house, "zego_rtc")
        assert {"fresh": 899, "refused": 1} == house.states("zego_rtc")


# refused


@pytest.mark.parametrize("api", APIS)
@in_virtual_time
async def test_refused_room_is_asked_ever_more_seldom(api: str) -> None:
    """
    At 10, 20, 40 … and at last 360 times the interval; the first reading ends it.
    """
    interval = 40 if api == "tencent_live" else 10
    async with House(source(api, 5, timeout="5s")) as house:
        bad = named(5)[1]
        house.vendor.answer = refuses({bad})
        await house.passes(1260 * interval)
        moments = [call.at for call in house.vendor.calls if call.rooms == (bad,)]
        assert [10, 20, 40, 80, 160, 320, 360] == [round(gap / interval) for gap in gaps(moments)][:7]
        assert {"fresh": 4, "refused": 1} == house.states(api)
        assert SourceState.OK == state(house, api)
        assert 1 == len([line for line in house.log.lines if line.event == "call failed"])
        assert not [line for line in house.log.lines if line.event == "calls recovered"]

        house.vendor.answer = lambda call: None
        await house.passes(361 * interval)
        assert {"fresh": 5} == house.states(api)


@in_virtual_time
async def test_refused_batch_is_asked_again_one_by_one() -> None:
    """
    One bad room does not darken the nine others of its batch, and never shares a batch again.
    """
    async with House(source("zego_rtc", 900)) as house:
        await house.passes(20)
        bad = named(900)[44]
        house.vendor.answer = refuses({bad})
        await house.passes(30)
        assert {"fresh": 899, "refused": 1} == house.states("zego_rtc")
        asked = [call for call in house.vendor.calls if bad in call.rooms and call.at - house.began > 20]
        assert [10, 1] == [len(call.rooms) for call in asked]

        since = house.now
        await house.passes(300)
        assert 11 >= max(house.gaps("zego_rtc", since=since))
        assert {1} == {len(call.rooms) for call in house.vendor.of("zego_rtc", since) if bad in call.rooms}


@in_virtual_time
async def test_refused_batch_for_the_sake_of_a_missing_room() -> None:
    """
    ZEGO may refuse a batch because one of its rooms is missing: that one is asked alone each interval, and the others
    are read together.
    """
    async with House(source("zego_rtc", 50)) as house:
        gone = named(50)[7]
        house.vendor.answer = lambda call: fails("zego_rtc", 104) if gone in call.rooms else None
        await house.passes(60)
        assert {"fresh": 49, "missing": 1} == house.states("zego_rtc")
        since = house.now
        await house.passes(100)
        assert 55 <= len(house.writes(since=since)) <= 62
        assert 11 >= max(house.gaps("zego_rtc", since=since))

        house.vendor.answer = lambda call: None
        await house.passes(21)
        assert {"fresh": 50} == house.states("zego_rtc")


@in_virtual_time
async def test_refused_rooms_leave_the_healthy_ones_nine_tenths_of_the_slots() -> None:
    """
    1,000 refused rooms among 1,000 healthy ones of one app: once each was asked alone, the healthy ones have 90 % of
    the budget and all of them are fresh.
    """
    rooms = named(2000)
    bad = set(rooms[::2])
    async with House(source("zego_rtc", rooms)) as house:
        house.vendor.answer = refuses(bad)
        await house.passes(900)
        assert {"fresh": 1000, "refused": 1000} == house.states("zego_rtc")
        assert SourceState.OK == state(house, "zego_rtc")

        since = house.now
        await house.passes(600)
        calls = house.vendor.of("zego_rtc", house.began + since)
        healthy = [call for call in calls if not bad.intersection(call.rooms)]
        assert 0.97 * 10 * 600 <= len(calls)
        assert 0.9 * len(calls) <= len(healthy)
        assert {"fresh": 1000, "refused": 1000} == house.states("zego_rtc")
        assert 12 >= max(house.gaps("zego_rtc", since=since))


@pytest.mark.parametrize(("api", "rooms"), [("zego_rtc", 100), ("zego_rtc", 2000), ("volcengine_rtc", 350)])
@in_virtual_time
async def test_refused_rooms_all_of_them_put_the_source_in_doubt(api: str, rooms: int) -> None:
    """
    Where nothing but refusals came for two intervals, the source is misconfigured and its rooms are forgiven; a trial a
    minute finds out when it is mended, and then every room is read again.
    """
    async with House(source(api, rooms)) as house:
        house.vendor.answer = always(fails(api, REFUSED[api]))
        took = await until(lambda: state(house, api) is SourceState.MISCONFIGURED, within=31)
        assert 20 <= took
        await house.passes(1)
        assert {"unknown": rooms} == house.states(api)
        since = house.now
        await house.passes(240)
        assert 4 == len(house.writes(since=since))

        house.vendor.answer = lambda call: None
        await until(lambda: state(house, api) is SourceState.OK, within=61)
        await house.passes(25)
        assert {"fresh": rooms} == house.states(api)


@in_virtual_time
async def test_refused_by_an_app_that_has_a_few_good_rooms() -> None:
    """
    Whatever is thought of the source meanwhile, its good rooms are found in the end.
    """
    rooms = named(300)
    bad = set(rooms[3:])
    async with House(source("zego_rtc", rooms)) as house:
        house.vendor.answer = refuses(bad)
        await house.passes(3 * 3600)

        assert {"fresh": 3, "refused": 297} == house.states("zego_rtc")


# malformed


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html></html>",
        b'{"Code":0,"Data":{"UserCountList":[',
        {"Code": 0, "Data": {"UserCountList": []}},
        {"Code": 0, "Data": {"UserCountList": [{"RoomId": "room-00000", "UserCount": -1}]}},
        {"Code": 0, "Data": {"UserCountList": [{"RoomId": "room-00000", "UserCount": True}]}},
        {"Code": 0, "Data": {"UserCountList": [{"RoomId": "room-00000", "UserCount": 1.5}]}},
        {"Code": 0, "Data": {"UserCountList": [{"RoomId": "room-00000", "UserCount": n} for n in (1, 2)]}},
    ],
)
@in_virtual_time
async def test_malformed_is_counted_apart_and_never_published(document: Any) -> None:
    """
    Garbage is asked again like a transient failure; what was published stays until it is too old, and no garbage is.
    """
    async with House(source("zego_rtc", 1, max_staleness="30s")) as house:
        await house.passes(15)
        readings = len(house.tables["zego_rtc"].arrivals["room-00000"])
        house.vendor.answer = always(Answer(document))
        await house.passes(12)
        assert {"held": 1} == house.states("zego_rtc")
        await house.passes(40)
        assert {"unknown": 1} == house.states("zego_rtc")
        assert {FailureKind.MALFORMED} == failed(house, "zego_rtc").keys()
        assert readings == len(house.tables["zego_rtc"].arrivals["room-00000"])

        house.vendor.answer = lambda call: None
        await until(lambda: house.states("zego_rtc") == {"fresh": 1}, within=62)


@in_virtual_time
async def test_malformed_for_one_room_leaves_its_batch_alone() -> None:
    """
    A room that the reply omits is asked again; the nine others were read.
    """
    async with House(source("zego_rtc", 10)) as house:
        counts = [{"RoomId": room, "UserCount": 5} for room in named(10)[1:]]
        stranger = {"RoomId": "nobody asked", "UserCount": 5}
        house.vendor.answer = always(Answer({"Code": 0, "Data": {"UserCountList": [*counts, stranger]}}))
        await house.passes(5)

        assert {"fresh": 9, "unknown": 1} == house.states("zego_rtc")
        assert SourceState.OK == state(house, "zego_rtc")
        assert 2 <= failed(house, "zego_rtc")[FailureKind.MALFORMED] == house.telemetry.sources["zego_rtc"].strangers
