"""
Calls under a limit: never one too many, hardly a slot lost, fewer when the vendor says so, and back again.
"""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.polling.pace import Pace, Sent, pace_kept

NOW = 500.0
PERIOD = 1.026
"""Seconds in which the slots of a whole limit come round."""
TICK = PERIOD / 51
"""Seconds between two moments at which a budget uses slots."""


def settled(limit: float, now: float = NOW) -> Pace:
    """A pace whose first silence is over."""
    pace = Pace(limit, now - 60)
    assert pace.open_at() < now
    return pace


def ready_at(pace: Pace, now: float) -> float:
    """When one more call may be written, as far as is known now."""
    return max(now, pace.slot_at(now), pace.open_at())


def within(moments: Sequence[float], width: float) -> int:
    """The most moments in any (t - width, t]."""
    ordered = sorted(moments)
    return max((n - bisect_right(ordered, at - width + 1e-9) for n, at in enumerate(ordered, start=1)), default=0)


def rounded(limit: float) -> tuple[int, float]:
    """Whole calls, and the seconds in which the vendor allows so many."""
    return math.ceil(limit), math.ceil(limit) / limit


@dataclass
class Traffic:
    """
    A pace whose every slot is used, and a vendor that answers.

    Args:
        arrives: When a call arrives that was written at a moment.
        reply_takes: Seconds from a call's arrival to its reply, by the call's number.
        use: When a slot is used that comes at a moment.
        accepts: Whether a call that arrives at a moment is accepted.
    """

    pace: Pace
    arrives: Callable[[float], float] = lambda written: written
    reply_takes: Callable[[int], float] = lambda number: 0.05
    use: Callable[[float], float] = lambda ready: ready
    accepts: Callable[[float], bool] = lambda arrival: True
    now: float = NOW
    writes: list[float] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    _under_way: list[tuple[float, int, Sent, bool]] = field(default_factory=list)

    def run(self, seconds: float) -> Traffic:
        """Go on for so long."""
        end = self.now + seconds
        while True:
            moment = max(self.use(max(self.now, self.pace.slot_at(self.now))), self.pace.open_at())
            if self._under_way and self._under_way[0][0] <= min(moment, end):
                self._answer()
            elif moment >= end:
                self.now = end
                return self
            else:
                self.now = moment
                self._call()

    def _call(self) -> None:
        number = len(self.writes)
        call = self.pace.sent(self.now, -math.inf)
        arrival = self.arrives(self.now)
        self.writes.append(self.now)
        self.arrivals.append(arrival)
        reply = arrival + self.reply_takes(number)
        heapq.heappush(self._under_way, (reply, number, call, self.accepts(arrival)))

    def _answer(self) -> None:
        answered, _, call, accepted = heapq.heappop(self._under_way)
        self.now = max(self.now, answered)
        self.pace.answered(call, self.now)
        if not accepted:
            self.pace.rejected(call, self.now)


LIMITS = st.one_of(
    st.sampled_from([0.1, 0.3, 1.0, 1.1, 1.5, 2.5, 7.5, 10.0, 33.3, 200.0]),
    st.floats(-1, 2).map(lambda exponent: 10.0**exponent),
)
STEPS = st.one_of(
    st.tuples(st.just("calls"), st.integers(1, 250)),
    st.tuples(st.just("late"), st.floats(0, 0.5)),
    st.tuples(st.just("limit"), LIMITS),
    st.tuples(st.just("reply"), st.floats(0, 3)),
    st.tuples(st.just("stalled"), st.floats(0, 1)),
    st.tuples(st.just("rejected"), st.floats(0, 2)),
    st.tuples(st.just("pause"), st.floats(0, 2)),
)


@settings(deadline=None)
@given(limit=LIMITS, schedule=st.lists(STEPS, max_size=40))
def test_never_more_than_the_limit_in_its_window(limit: float, schedule: list[tuple[str, float]]) -> None:
    """
    However calls bunch, come late, are answered and rejected, and however the limit changes: none is written while as
    many as the limit allows were written in the last second and 24 ms.
    """
    pace, now = settled(limit), NOW
    writes: list[float] = []
    calls: list[Sent] = []

    def write(late: float = 0.0) -> None:
        nonlocal now
        now = ready_at(pace, now) + late
        calls.append(pace.sent(now, due=now - 1))
        writes.append(now)
        most, seconds = rounded(pace.limit)
        assert most >= len(writes) - bisect_right(writes, now - seconds - 0.024 + 1e-9)

    write()
    for step, amount in schedule:
        match step:
            case "calls":
                for _ in range(int(amount)):
                    write()
            case "late":
                write(late=amount)
            case "limit":
                pace.change_limit(amount)
            case "reply":
                now += amount
                pace.answered(calls[-1], now)
            case "stalled":
                now += amount
                pace.stalled(now)
            case "rejected":
                pace.rejected(calls[-1], now)
            case _:
                pace.pause(now + amount)


@settings(deadline=None)
@given(
    limit=LIMITS,
    late=st.lists(st.one_of(st.just(0.0), st.floats(0, 0.3)), min_size=1, max_size=20),
    delays=st.lists(st.floats(0, 0.024), min_size=1, max_size=20),
)
def test_delays_of_24_ms_make_no_second_overfull(limit: float, late: list[float], delays: list[float]) -> None:
    """
    Slots may be used late, and calls may take up to 24 ms to arrive: the vendor counts no call too many.
    """
    pace, now = settled(limit), NOW
    arrivals = []
    for number in range(min(500, 3 * math.ceil(limit) + 10)):
        now = ready_at(pace, now) + late[number % len(late)]
        pace.sent(now, due=-math.inf)
        arrivals.append(now + delays[number % len(delays)])
    most, seconds = rounded(limit)

    assert most >= within(arrivals, seconds)


@settings(deadline=None, max_examples=50)
@example(2.5).via("a limit that is no whole number")
@example(7.5).via("a limit that is no whole number")
@example(1.5).via("a limit that is no whole number")
@example(0.3).via("a limit that is no whole number")
@example(33.3).via("a limit that is no whole number")
@example(10_000.0).via("a large limit")
@given(st.floats(-1, 3).map(lambda exponent: 10.0**exponent))
def test_every_slot_is_used(limit: float) -> None:
    """
    At least 97 % of any limit is reached, as much as a pace says beforehand, and not more.
    """
    pace, writes = settled(limit), [NOW]
    pace.sent(NOW, due=NOW)
    for _ in range(2 * math.ceil(limit) + 10):
        now = ready_at(pace, writes[-1])
        pace.sent(now, due=now)
        writes.append(now)
    reached = (len(writes) - 1) / (writes[-1] - writes[0])

    assert pace_kept(limit) == pytest.approx(reached)
    assert 0.97 * limit <= reached <= limit


def test_slots_are_spread_evenly() -> None:
    """
    The calls of a second leave one after the other; a burst at the beginning has dissolved after a minute.
    """
    writes = [at for at in Traffic(settled(200.0)).run(62.0).writes if at > NOW + 60]

    assert [PERIOD / 200] * (len(writes) - 1) == pytest.approx([later - earlier for earlier, later in pairwise(writes)])


@pytest.mark.parametrize("stall", [0.005, 0.03, 0.09])
@pytest.mark.parametrize("limit", [1.0, 10.0, 40.0, 200.0])
def test_slots_that_are_used_late_are_caught_up(limit: float, stall: float) -> None:
    """
    A loop that can do nothing for a while every second loses hardly a slot, and exceeds nothing.
    """

    def after_the_stall(ready: float) -> float:
        return max(ready, math.floor(ready) + stall)

    traffic = Traffic(settled(limit), use=after_the_stall).run(60.0)

    assert 0.97 * 60 * limit <= len(traffic.writes)
    assert limit >= within(traffic.arrivals, 1.0)


@pytest.mark.parametrize(("wanted", "at_once"), [(10.0, 20), (0.05, 10), (0.0, 1)])
def test_slots_are_caught_up_for_100_ms_if_somebody_wanted_them(wanted: float, at_once: int) -> None:
    """
    After a long pause, what was wanted lately leaves together; what nobody wanted is lost.
    """
    pace = settled(200.0)
    pace.sent(NOW - 10, due=NOW - 10)
    calls = 0
    while ready_at(pace, NOW) <= NOW:
        pace.sent(NOW, due=NOW - wanted)
        calls += 1

    assert at_once == pytest.approx(calls, abs=1)


def test_new_process_is_silent_for_its_first_second() -> None:
    """
    It may share that second with the process that it replaces, however long the vendor counts.
    """
    assert NOW + PERIOD == pytest.approx(Pace(10.0, NOW).open_at())
    assert NOW + 10 < Pace(0.1, NOW).open_at() < NOW + 10.03


def test_pause() -> None:
    """
    No call before its end; a shorter one ends no longer one.
    """
    pace = settled(10.0)
    pace.pause(NOW + 30)
    pace.pause(NOW + 3)

    assert NOW + 30 == pace.open_at()


def test_limit_is_lowered_and_raised() -> None:
    """
    What was written under the old limit counts under the new one.
    """
    pace = settled(20.0)
    for _ in range(20):
        pace.sent(NOW, due=NOW)

    pace.change_limit(10.0)
    assert NOW + 1.024 == pytest.approx(pace.open_at())

    pace.change_limit(30.0)
    assert pace.open_at() < NOW
    for _ in range(10):
        pace.sent(NOW + 0.5, due=NOW)
    assert NOW + 1.024 == pytest.approx(pace.open_at())


def test_low_limit_is_raised() -> None:
    """
    A call in ten seconds was allowed, ten a second are: nobody waits for the end of the ten seconds.
    """
    pace = Pace(0.1, NOW - 5)
    pace.change_limit(10.0)
    assert ready_at(pace, NOW) == NOW

    pace = settled(0.1)
    pace.sent(NOW, due=NOW)
    pace.change_limit(10.0)
    assert NOW + PERIOD / 10 == pytest.approx(ready_at(pace, NOW))


def test_limit_is_lowered_and_raised_within_a_second() -> None:
    """
    Calls under a limit that is back count, though one call was made under the low limit in between.
    """
    pace = settled(10.0)
    for _ in range(9):
        pace.sent(NOW, due=NOW)
    pace.change_limit(0.5)
    pace.sent(NOW + 0.5, due=NOW)
    pace.change_limit(10.0)

    assert NOW + 1.024 == pytest.approx(pace.open_at())


def test_limit_is_changed_while_the_pace_is_low() -> None:
    """
    The pace rises with the limit in proportion, and is never above it.
    """
    pace = settled(10.0)
    pace.rejected(pace.sent(NOW, due=NOW), NOW)
    paces = []
    for limit in (20.0, 5.0, 100.0):
        pace.change_limit(limit)
        paces.append(pace.pace)

    assert [18.0, 5.0, 100.0] == pytest.approx(paces)


def test_limit_is_raised_after_a_rejection() -> None:
    """
    One rejection under an old limit does not hold back the new one for hours.
    """
    pace = settled(10.0)
    pace.rejected(pace.sent(NOW, due=NOW), NOW)
    pace.change_limit(200.0)

    assert 180.0 == pytest.approx(pace.pace)
    pace.slot_at(NOW + 301)
    assert 200.0 == pytest.approx(pace.pace)


def test_limit_is_lowered_amid_rejections() -> None:
    """
    What was called under the old limit and is rejected now leaves the pace within the new one.
    """
    pace = settled(200.0)
    calls = [pace.sent(NOW + n / 200, due=NOW) for n in range(40)]
    pace.rejected(calls[0], NOW + 0.2)
    pace.change_limit(10.0)
    for call in calls[1:]:
        pace.rejected(call, NOW + 0.2)

    assert 5.0 == pace.pace


def hold_ups(every: float, lasting: float) -> Callable[[float], float]:
    """When calls arrive at a vendor that takes nothing in for a while, every so often."""
    return lambda written: max(written, written - written % every + lasting)


@pytest.mark.parametrize("limit", [10.0, 20.0, 40.0, 200.0])
@pytest.mark.parametrize("replies", [(0.001, 0.004), (0.046, 0.054)])
@pytest.mark.parametrize(
    ("every", "lasting", "share"),
    [
        (3.1, 0.03, 0.97),
        (3.1, 0.06, 0.965),
        (3.1, 0.09, 0.965),
        (3.1, 0.15, 0.955),
        (3.1, 0.2, 0.94),
        (9.7, 0.4, 0.94),
        (9.7, 0.7, 0.91),
        (0.7, 0.04, 0.96),
        (0.7, 0.06, 0.955),
    ],
)
def test_calls_that_are_held_up_together_count_later(
    limit: float, replies: tuple[float, float], every: float, lasting: float, share: float
) -> None:
    """
    The vendor, or the network on the way to it, takes nothing in for a while every few seconds: no second as the vendor
    counts holds a call too many.
    """
    chance = random.Random(1)

    traffic = Traffic(
        settled(limit),
        arrives=hold_ups(every, lasting),
        reply_takes=lambda _: chance.uniform(*replies),
        use=lambda slot: math.ceil(slot / TICK) * TICK,
    ).run(60)

    assert limit >= within(traffic.arrivals, 1.0)
    assert len(traffic.writes) >= share * limit * 60


@pytest.mark.parametrize("limit", [10.0, 20.0, 40.0, 200.0])
@pytest.mark.parametrize("lasting", [0.03, 0.1, 0.25])
def test_first_calls_that_are_held_up_count_later(limit: float, lasting: float) -> None:
    """
    A process and a vendor that have just met take their time: the calls of the first moments arrive late, nothing is
    usual yet, and no second as the vendor counts holds a call too many.
    """
    until = NOW + lasting
    traffic = Traffic(settled(limit), arrives=lambda written: max(written, until)).run(10)

    assert limit >= within(traffic.arrivals, 1.0)
    assert len(traffic.writes) >= 0.97 * limit * 10 - 0.4 * limit


def taught(limit: float, usual: float = 0.05) -> Pace:
    """A pace that knows how long replies take."""
    pace = settled(limit, NOW - 20)
    for second in range(-20, -10):
        pace.answered(pace.sent(NOW + second, due=NOW), NOW + second + usual)
    return pace


def test_call_whose_reply_is_late_counts_later() -> None:
    """
    At ten calls a second, a reply that comes 220 ms late keeps its call's place for 208 ms longer; a reply that comes
    10 ms late does not.
    """
    pace = taught(10.0)
    calls = [pace.sent(NOW + number * PERIOD / 10, due=NOW) for number in range(10)]
    pace.answered(calls[0], NOW + 0.27)
    pace.answered(calls[5], calls[5].at + 0.06)

    assert NOW + 0.208 == pytest.approx(calls[0].at, abs=0.001)
    assert calls[1].at + 1.024 == pytest.approx(pace.open_at())
    assert calls[2].at < calls[0].at < calls[3].at
    assert [1, 2, 0, 3, 4, 5] == [calls.index(call) for call in pace._log[:6]]


@pytest.mark.parametrize(("reply", "counts"), [(1.35, 1.288), (2.05, 1.988), (2.55, 2.0)])
def test_call_whose_reply_comes_after_it_left_the_log(reply: float, counts: float) -> None:
    """
    It may have arrived when others had been written since, though not more than two seconds after its write.
    """
    pace = taught(1.0)
    late = pace.sent(NOW, due=NOW)
    for second in (1, 2):
        pace.answered(pace.sent(NOW + 1.03 * second, due=NOW), NOW + 1.03 * second + 0.05)
    pace.answered(late, NOW + reply)
    pace.answered(late, NOW + reply + 1)

    assert max(NOW + 2.06, NOW + counts) + 1.024 == pytest.approx(pace.open_at(), abs=0.002)
    assert NOW + counts == pytest.approx(late.at, abs=0.002)
    assert 1 == pace._log.count(late)


@pytest.mark.parametrize("limit", [10.0, 200.0])
@pytest.mark.parametrize(
    "reply_takes",
    [
        pytest.param(lambda number: (0.05, 0.15)[number % 2], id="alternating"),
        pytest.param(lambda number: random.Random(number).choice([0.05, 0.15]), id="either"),
        pytest.param(lambda number: random.Random(number).uniform(0.02, 0.15), id="any"),
        pytest.param(lambda number: 0.02 + random.Random(number).expovariate(20.0), id="mostly short"),
        pytest.param(lambda number: 6.0, id="slow"),
    ],
)
def test_replies_that_take_as_long_as_usual_cost_no_slot(limit: float, reply_takes: Callable[[int], float]) -> None:
    """
    What is usual with this vendor is no sign of calls that were held up on the way.
    """
    writes = Traffic(settled(limit), reply_takes=reply_takes).run(70).writes

    assert len([written for written in writes if written >= NOW + 10]) >= 0.965 * 60 * limit


@pytest.mark.parametrize("limit", [10.0, 200.0])
def test_late_replies_cost_their_own_places_alone(limit: float) -> None:
    """
    Where one reply in twenty takes half a second longer, a fortieth of the places is taken for so much longer; nobody
    waits behind them.
    """
    writes = Traffic(settled(limit), reply_takes=lambda number: 0.02 if number % 20 else 0.52).run(60).writes

    assert len(writes) > 0.94 * 60 * limit


@pytest.mark.parametrize("limit", [10.0, 200.0])
@pytest.mark.parametrize(("before", "after"), [(0.02, 0.3), (0.05, 3.0)])
def test_vendor_that_becomes_slow_for_good(limit: float, before: float, after: float) -> None:
    """
    That costs three seconds' worth of slots at most, and nothing any more 20 s later.
    """
    slow_from = 60 * limit
    traffic = Traffic(settled(limit), reply_takes=lambda number: after if number > slow_from else before).run(130)
    since = sum(written >= NOW + 90 for written in traffic.writes)

    assert len(traffic.writes) >= (0.97 * 130 - 3) * limit
    assert since >= 0.97 * 40 * limit - 1


def test_unacknowledged_call_holds_its_place_until_it_has_arrived() -> None:
    """
    However long that lasts; then it counts from that moment, and its late reply changes nothing.
    """
    pace = taught(3.0)
    held, other = pace.sent(NOW, due=NOW), pace.sent(NOW + 0.4, due=NOW)
    pace.arrives_by(held, math.inf, NOW + 0.25, 0.05)
    last = pace.sent(NOW + 5, due=NOW)
    assert NOW + 0.4 + 1.024 == pytest.approx(pace.open_at())
    for call in (other, last):
        pace.arrives_by(call, math.inf, NOW + 6, 0.05)
    assert math.inf == pace.open_at()

    pace.arrives_by(held, -math.inf, NOW + 7, 0.05)
    pace.answered(held, NOW + 7.5)
    pace.answered(other, NOW + 8)

    assert [NOW + 7, NOW + 8, math.inf] == [held.at, other.at, last.at]
    assert NOW + 7 + 1.024 == pytest.approx(pace.open_at())
    assert [held, other, last] == pace._log[-3:]


@pytest.mark.parametrize("held", [True, False])
def test_call_whose_connection_ended_unacknowledged_may_still_arrive(*, held: bool) -> None:
    """
    It counts from when no queue on the way keeps it any longer, whenever that is told.
    """
    pace = taught(1.0)
    call = pace.sent(NOW, due=NOW)
    if held:
        pace.arrives_by(call, math.inf, NOW + 0.25, 0.05)
    pace.arrives_by(call, NOW + 5, NOW + 2, 0.05)

    assert NOW + 5 + 1.024 == pytest.approx(pace.open_at())
    late = pace.sent(NOW + 20, due=NOW)
    pace.arrives_by(late, NOW + 25, NOW + 26, 0.05)
    assert NOW + 25 + 1.024 == pytest.approx(pace.open_at())


@pytest.mark.parametrize(("round_trip", "moment", "held"), [(0.05, 0.25, True), (0.4, 0.25, False), (3.0, 0.75, True)])
def test_call_is_not_missed_before_two_round_trips(round_trip: float, moment: float, *, held: bool) -> None:
    """
    On a long way acknowledgements take their time; but what is so late that it soon leaves the log holds its place.
    """
    pace = taught(10.0)
    call = pace.sent(NOW, due=NOW)
    pace.arrives_by(call, math.inf, NOW + moment, round_trip)

    assert (math.inf if held else NOW) == call.at


@pytest.mark.parametrize("limit", [10.0, 200.0])
@pytest.mark.parametrize(("acknowledged", "reply"), [(0.0, 3.0), (0.4, 0.45)])
def test_slow_vendor_and_long_way_cost_no_slot(limit: float, acknowledged: float, reply: float) -> None:
    """
    A vendor may acknowledge at once and reply after 3 s, and a round trip may take longer than it is until we ask.
    """
    pace = settled(limit)
    wire = Wire(pace, arrives=lambda written: written, acknowledged=acknowledged, reply=reply)
    wire.run(70)

    assert len([written for written in wire.writes if written >= NOW + 10]) >= 0.965 * 60 * limit


@pytest.mark.parametrize("limit", [1.0, 10.0, 40.0, 200.0])
@pytest.mark.parametrize(
    ("reply", "lasting"),
    [(0.002, 0.15), *((reply, lasting) for reply in (0.002, 0.4) for lasting in (0.6, 1.0, 2.0, 2.9, 6.0))],
)
@pytest.mark.parametrize("gives_up", [2.0, 4.1, math.inf])
def test_calls_that_a_cut_network_holds(limit: float, reply: float, lasting: float, gives_up: float) -> None:
    """
    The network is cut every 13 s. What was written meanwhile arrives together when it is back, even if the connection
    ended up to 3 s before, and makes no second overfull.
    """
    arrives = hold_ups(13.0, lasting)
    wire = Wire(settled(limit), arrives, acknowledged=0.001, reply=reply, gives_up=gives_up).run(60)

    assert limit >= within([at for at in wire.arrivals if at < NOW + 60], 1.0)
    assert len(wire.writes) >= 0.4 * limit * 60


@dataclass
class Wire:
    """
    A pace whose every slot is used, and a kernel that is asked for the calls that have no reply.

    Args:
        arrives: When a call arrives that was written at a moment, unless its connection ended 3 s before.
        acknowledged, reply: Seconds from a call's arrival.
        gives_up: Seconds after which the kernel ends a connection on which nothing is acknowledged.
    """

    pace: Pace
    arrives: Callable[[float], float]
    acknowledged: float
    reply: float
    gives_up: float = math.inf
    writes: list[float] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)

    def run(self, seconds: float) -> Wire:
        """Go on for so long, tick by tick."""
        replies: list[tuple[float, int, Sent]] = []
        asked: list[tuple[float, int, Sent, float]] = []
        now = NOW
        while now < NOW + seconds:
            now = math.ceil(now / TICK + 1e-6) * TICK
            while replies and replies[0][0] <= now:
                at, _, call = heapq.heappop(replies)
                self.pace.answered(call, at)
            while asked and asked[0][0] <= now:
                _, number, call, arrival = heapq.heappop(asked)
                ends = call.written + self.gives_up
                until = -math.inf if arrival + self.acknowledged <= min(now, ends) else math.inf
                until = ends + 3 if until == math.inf and ends <= now else until
                self.pace.arrives_by(call, until, now, round_trip=self.acknowledged)
                if until == math.inf:
                    heapq.heappush(asked, (now + 0.25, number, call, arrival))
            while ready_at(self.pace, now) <= now:
                number, call, arrival = len(self.writes), self.pace.sent(now, due=-math.inf), self.arrives(now)
                self.writes.append(now)
                ends = now + self.gives_up
                if arrival <= ends + 3:
                    self.arrivals.append(arrival)
                if arrival + max(self.acknowledged, self.reply) <= ends or arrival + self.acknowledged <= ends:
                    heapq.heappush(replies, (arrival + self.reply, number, call))
                heapq.heappush(asked, (now + 0.25, number, call, arrival))
        return self


def test_calls_without_a_reply_count_from_the_end_of_a_stall() -> None:
    """
    They may have been delayed with the process, whatever their replies tell; what had a reply, or was written since
    then, was not.
    """
    pace = taught(3.0)
    delayed, answered = pace.sent(NOW, due=NOW), pace.sent(NOW + 0.4, due=NOW)
    pace.answered(answered, NOW + 0.45)
    since = pace.sent(NOW + 1.5, due=NOW)
    pace.stalled(NOW + 1.2)
    pace.answered(delayed, NOW + 2.2)

    assert [NOW + 1.2, NOW + 0.4, NOW + 1.5] == [delayed.at, answered.at, since.at]
    assert NOW + 0.4 + 1.024 == pytest.approx(pace.open_at())


@pytest.mark.parametrize("limit", [10.0, 40.0, 200.0])
@pytest.mark.parametrize("lasting", [0.3, 0.58, 1.5])
def test_process_that_is_stopped_together_with_network_and_vendor(limit: float, lasting: float) -> None:
    """
    Every few seconds the whole host is: what was under way arrives when it goes on, and makes no second overfull.
    """
    pace, now, stops = settled(limit), NOW, 0
    under_way: list[tuple[float, float, Sent]] = []
    arrivals: list[float] = []
    while now < NOW + 60:
        now = ready_at(pace, now)
        if now > NOW + 3.1 * (stops + 1):
            stops += 1
            stopped = NOW + 3.1 * stops
            now = max(now, stopped + lasting)
            under_way = [(max(at, now + 0.03) if at > stopped else at, sent, call) for at, sent, call in under_way]
            arrivals = [now if at > stopped - 0.03 else at for at in arrivals]
            pace.stalled(now)
        while under_way and under_way[0][0] <= ready_at(pace, now):
            answered, _, call = under_way.pop(0)
            now = max(now, answered)
            pace.answered(call, now)
        now = ready_at(pace, now)
        arrivals.append(now)
        under_way.append((now + 0.06, now, pace.sent(now, due=-math.inf)))

    assert limit >= within(arrivals, 1.0)
    assert len(arrivals) >= 0.94 * limit * (60 - stops * (lasting + 0.1))


def reject(pace: Pace, *moments: float) -> list[bool]:
    """Write calls so many seconds after ``NOW`` which are rejected at once, and tell which of them lowered the pace."""
    return [pace.rejected(pace.sent(NOW + at, due=NOW + at), NOW + at) for at in moments]


def paces(pace: Pace, *moments: float) -> list[float]:
    """The pace so many seconds after ``NOW``, rounded."""
    seen = []
    for at in moments:
        pace.slot_at(NOW + at)
        seen.append(round(pace.pace, 3))
    return seen


@pytest.mark.parametrize("limit", [0.1, 1.0, 2.5, 10.0, 200.0])
def test_single_rejection_lowers_the_pace_by_a_tenth(limit: float) -> None:
    """
    Slots are then farther apart by as much.
    """
    pace = settled(limit)
    spacing = ready_at(pace, NOW) and pace.period / math.ceil(limit)

    assert [True] == reject(pace, 0)
    assert 0.9 * limit == pytest.approx(pace.pace)
    assert NOW + spacing / 0.9 == pytest.approx(pace.slot_at(NOW))


@pytest.mark.parametrize(("limit", "rejections"), [(1.0, 2), (2.5, 2), (10.0, 2), (20.0, 2), (40.0, 4), (200.0, 20)])
def test_many_rejections_halve_the_pace(limit: float, rejections: int) -> None:
    """
    Many are a tenth of the last calls, and two of the last ten if there are fewer; what was lowered by a tenth before,
    in the same episode, is part of the half.
    """
    pace = settled(limit)
    calls = [pace.sent(NOW + number / 1000, due=NOW) for number in range(max(10, int(limit)))]
    lowered = [pace.rejected(call, NOW + 0.3) for call in calls[:rejections]]

    assert [True, *[False] * (rejections - 2), True] == lowered
    assert 0.5 * limit == pace.pace


def test_rejections_that_are_far_apart_are_single_ones() -> None:
    """
    One among ten calls is no sign of a pace that is far too high.
    """
    pace = settled(10.0)
    for second in range(3):
        reject(pace, 2 * second)
        for number in range(1, 11):
            pace.sent(NOW + 2 * second + number / 10, due=NOW)

    assert [7.29] == paces(pace, 6)


def test_pace_is_lowered_once_per_episode() -> None:
    """
    Calls that were under way when the pace was halved do not lower it again, nor do those which the vendor still counts
    in one second with them; later ones do.
    """
    pace = settled(10.0)
    early = pace.sent(NOW - 0.5, due=NOW)

    assert [True, True] == reject(pace, 0, 0.1)
    assert not pace.rejected(early, NOW + 0.2)
    assert [False, False] == reject(pace, 0.2, 1.1)
    assert 5.0 == pace.pace
    assert [True] == reject(pace, 1.2)
    assert 4.5 == pace.pace


def test_pace_never_falls_below_a_tenth_of_the_limit() -> None:
    """
    However often the vendor says that it was too fast, a tenth of the limit is kept.
    """
    pace = settled(10.0)
    traffic = Traffic(pace, accepts=lambda _: False).run(60)

    assert 1.0 == pace.pace
    assert 20 == pytest.approx(sum(written > NOW + 40 for written in traffic.writes), abs=1)


def test_pace_climbs_back_from_a_single_rejection() -> None:
    """
    Nine tenths of the rejected pace are kept for five minutes.
    """
    pace = settled(10.0)
    reject(pace, 0)

    assert [9, 9, 10] == paces(pace, 0, 299, 301)
    pace.change_limit(20.0)
    assert 20.0 == pace.pace


@given(limit=LIMITS)
def test_pace_comes_back_to_the_limit_itself(limit: float) -> None:
    """
    Whatever the limit is, no rounding makes the last step longer.
    """
    single, halved = settled(limit), settled(limit)
    reject(single, 0)
    reject(halved, 0, 0)
    for pace, seconds in ((single, 301), (halved, 341)):
        pace.slot_at(NOW + seconds)
        assert limit == pace.pace


def test_pace_climbs_back_from_single_rejections() -> None:
    """
    It is the last rejected pace that decides how far it climbs fast.
    """
    pace = settled(10.0)
    for at in (0, 2):
        reject(pace, at)
        for _ in range(10):
            pace.sent(NOW + at, due=NOW)

    assert [8.1, 8.1, 9, 10] == paces(pace, 2, 301, 303, 603)


def test_pace_climbs_back_from_a_halving() -> None:
    """
    A tenth of the limit every ten seconds up to nine tenths of the rejected pace; then a step in five minutes.
    """
    pace = settled(10.0)
    reject(pace, 0, 0)

    assert [5, 5, 6, 6, 7, 8, 9, 9, 10] == paces(pace, 0, 9.9, 10.1, 19.9, 20.1, 30.1, 40.1, 339, 341)


def test_pace_climbs_to_a_limit_that_a_rival_leaves() -> None:
    """
    Each step that is rejected is undone, and tried again five minutes later; without a rejection all is as before.
    """
    pace = settled(10.0)
    reject(pace, 0, 0)
    for at in (25, 326):
        for _ in range(10):
            pace.sent(NOW + at, due=NOW + at)
        reject(pace, at)
        assert [6.3, 6.3, 7] == paces(pace, at, at + 299, at + 301)

    assert [7.778, 8.642, 9.602, 10] == paces(pace, 927, 1227, 1527, 1827)


@pytest.mark.parametrize("limit", [0.5, 1.0, 2.0, 10.0, 200.0])
@pytest.mark.parametrize("seconds", [15, 60, 900])
def test_vendor_that_turned_everything_away(limit: float, seconds: float) -> None:
    """
    Nine tenths of the limit are back within 95 s, whatever paces were rejected meanwhile.
    """
    pace = settled(limit)
    Traffic(pace, accepts=lambda arrival: arrival > NOW + seconds).run(seconds + 95)

    assert 0.9 * limit == pytest.approx(pace.pace)


def test_retry_after_is_honoured_for_five_minutes_at_most() -> None:
    """
    The vendor may ask for silence, but not for hours of it; that it asks in each of many replies lengthens nothing.
    """
    pace = settled(10.0)
    call = pace.sent(NOW, due=NOW)

    assert pace.rejected(call, NOW, retry_after=30.0)
    assert NOW + 30 == pace.open_at()
    pace.rejected(call, NOW + 1, retry_after=20.0)
    assert NOW + 30 == pace.open_at()
    pace.rejected(call, NOW + 2, retry_after=86_400.0)
    assert NOW + 302 == pace.open_at()
