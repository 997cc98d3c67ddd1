"""
Whatever network, engine and clocks do, two replicas never call on one budget within the same second, and when they have
calmed down somebody calls.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from exporter.cluster.assignment import Unit
from exporter.cluster.exchange import Reply, Request
from exporter.cluster.observation import Observer, writes_for
from tests.cluster.register import Register

LEASE: Final = 5.0
APART: Final = 1.02
UNITS: Final = (Unit("x", ("x", "x list"), (), 3.0), Unit("y", ("y",), (), 2.0), Unit("z", ("z",), (), 1.0))
BUDGETS: Final = ("x", "x list", "y", "z")
NAMES: Final = ("a", "b", "c", "a")
"""The last process has the name of the first."""

processes = st.integers(0, len(NAMES) - 1)
delays = st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0, 2.0, 4.0, 6.0])


@dataclass
class Process:
    """One process, and what it may do by its own clock."""

    observer: Observer
    rate: float
    offset: float
    pending: tuple[Request, float] | None = None
    granted: dict[str, float] = field(default_factory=dict)
    letting_go: set[str] = field(default_factory=set)
    own_states: dict[str, tuple[float, float]] = field(default_factory=dict)

    def clock(self, true: float) -> float:
        """Its clock at this moment."""
        return self.offset + self.rate * true

    def true(self, clock: float) -> float:
        """The moment at which its clock shows this."""
        return (clock - self.offset) / self.rate


class Machine(RuleBasedStateMachine):
    """Three replicas and an impostor, a network and a Redis. Time is what no clock shows."""

    tells_runs: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.register = Register("run0" if self.tells_runs else "")
        self.old = self.register.copy()
        self.processes: list[Process] = []
        self.wire: list[tuple[Process, Request]] = []
        self.answers: list[tuple[Process, Request, Reply]] = []
        self.last_write: dict[str, dict[int, float]] = {budget: {} for budget in BUDGETS}
        self.started = 0
        self.runs = 0

    @initialize(rates=st.lists(st.sampled_from([0.99, 1.0, 1.01]), min_size=4, max_size=4), before=st.booleans())
    def start(self, rates: list[float], before: bool) -> None:
        """Processes whose clocks differ; perhaps they have been at work for a while."""
        self.processes = [self.made(name, rate) for name, rate in zip(NAMES, rates, strict=True)]
        if before:
            self.at_work(0.5, 35)

    def made(self, name: str, rate: float) -> Process:
        """A new process."""
        self.started += 1
        process = Process(Observer(name, f"i{self.started}", LEASE), rate, 1000.0 * self.started)
        process.observer.use(UNITS, "config")
        return process

    # What happens

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.3, 0.5, 1.0, 3.0, 3.9, 5.0, 5.1]))
    def wait(self, seconds: float) -> None:
        """Time passes, and processes write as much as they may."""
        self.now += seconds
        self.write()

    @rule(number=processes)
    def send(self, number: int) -> None:
        """A process begins an exchange; one that is under way is given up."""
        process = self.processes[number]
        if process.pending is not None:
            process.observer.failed()
        now = process.clock(self.now)
        self.expire(process)
        request = process.observer.request(now, {budget: self.state(process) for budget in process.observer.held})
        process.pending = request, now
        self.wire.append((process, request))

    @rule(number=st.integers(0, 30))
    def carry_out(self, number: int) -> None:
        """A request arrives, the latest or an earlier one."""
        if self.wire:
            process, request = self.wire.pop(number % len(self.wire))
            self.answers.append((process, request, self.register.apply(request)))

    @rule(number=st.integers(0, 30))
    def answer(self, number: int) -> None:
        """A reply arrives. Nobody waits for it if its exchange was given up."""
        if self.answers:
            process, request, reply = self.answers.pop(number % len(self.answers))
            if process.pending is not None and process.pending[0] is request:
                self.replied(process, reply)

    @rule(number=st.integers(0, 30))
    def lose_request(self, number: int) -> None:
        """A request gets lost."""
        if self.wire:
            self.wire.pop(number % len(self.wire))

    @rule(number=st.integers(0, 30))
    def lose_answer(self, number: int) -> None:
        """A reply gets lost."""
        if self.answers:
            self.answers.pop(number % len(self.answers))

    @rule(number=processes, there=delays, back=delays)
    def exchange(self, number: int, there: float, back: float) -> None:
        """A whole exchange, with delays."""
        self.send(number)
        self.wait(there)
        self.carry_out(len(self.wire) - 1)
        self.wait(back)
        self.answer(len(self.answers) - 1)
        if self.processes[number].pending is not None and self.wire:  # the reply asked for another exchange
            self.carry_out(len(self.wire) - 1)
            self.answer(len(self.answers) - 1)

    @rule(every=st.sampled_from([0.1, 0.5, 0.7]), times=st.integers(3, 25), only=st.none() | processes)
    def at_work(self, every: float, times: int, only: int | None = None) -> None:
        """For a while everything works, for all or for one alone."""
        for _ in range(times):
            for number in range(len(NAMES)) if only is None else [only]:
                self.exchange(number, 0.0, 0.001)
                self.has_let_go(number)
            self.wait(every)

    @rule(number=processes)
    def let_go(self, number: int) -> None:
        """A replica begins to let go of everything."""
        process = self.processes[number]
        held = [*process.observer.held]
        process.observer.let_go(held)
        self.begin_letting_go(process, held)

    @rule(number=processes)
    def has_let_go(self, number: int) -> None:
        """What was under way has ended."""
        process = self.processes[number]
        process.observer.released({budget: self.state(process) for budget in process.letting_go})
        process.letting_go.clear()

    @rule(number=processes, arrives=st.booleans())
    def leave(self, number: int, arrives: bool) -> None:
        """A replica ends in order, and starts anew."""
        self.let_go(number)
        self.has_let_go(number)
        process = self.processes[number]
        request = process.observer.request(process.clock(self.now), leave=True)
        if arrives:
            self.register.apply(request)
        self.kill(number)

    @rule(number=processes)
    def kill(self, number: int) -> None:
        """A process dies at once and starts anew."""
        self.write()
        old = self.processes[number]
        for budget in old.granted:
            old.granted[budget] = -math.inf
        old.pending = None
        self.processes[number] = self.made(NAMES[number], old.rate)

    @rule()
    def copy(self) -> None:
        """The engine's replica has everything up to here."""
        self.old = self.register.copy()

    @rule(empty=st.booleans())
    def fail_over(self, empty: bool) -> None:
        """The engine's replica takes over, without the last writes; or it restarts empty."""
        self.runs += 1
        if empty:
            self.register.flush()
            self.old = self.register.copy()
        self.register.fail_over(f"run{self.runs}" if self.tells_runs else "", self.old)
        if not self.tells_runs:
            self.break_connections()

    @rule(number=processes, rounds=st.integers(1, 8), killed=st.booleans(), hurries=st.integers(0, 4))
    def lose_a_hand_over(self, number: int, rounds: int, killed: bool, hurries: int) -> None:
        """A budget changes hands, and the engine's replica that takes over does not know of it."""
        self.copy()
        if not killed:
            self.let_go(number)
            self.has_let_go(number)
            self.exchange(number, 0.0, 0.001)
        for _ in range(rounds + 12 * killed):
            for other in range(len(NAMES)):
                if other != number:
                    self.exchange(other, 0.0, 0.001)
            self.wait(0.5)
        self.fail_over(empty=False)
        self.hurry(number, hurries)

    @rule(number=processes, times=st.integers(1, 4))
    def hurry(self, number: int, times: int) -> None:
        """One replica makes some exchanges without a pause."""
        for _ in range(times):
            self.exchange(number, 0.0, 0.001)

    @rule()
    def flush(self) -> None:
        """Everything is deleted."""
        self.register.flush()
        self.old = self.register.copy()

    def break_connections(self) -> None:
        """Every exchange that is under way, or comes next, fails."""
        self.wire.clear()
        self.answers.clear()
        for process in self.processes:
            process.observer.failed()
            process.pending = None

    @rule()
    def calm_down(self) -> None:
        """When everything works for a while, exactly one replica holds each budget: the one that shall."""
        self.at_work(0.5, 90)
        for budget in BUDGETS:
            holders = [
                process.observer
                for process in self.processes
                if process.granted.get(budget, 0) > process.clock(self.now)
            ]
            assert 1 == len(holders), budget
            assert holders[0].replica == holders[0].wished(budget)

    # What must hold

    @invariant()
    def one_at_a_time(self) -> None:
        """No two processes may write on one budget."""
        for budget in BUDGETS:
            writing = [each for each in self.processes if each.granted.get(budget, -math.inf) > each.clock(self.now)]
            assert 2 > len(writing)

    def write(self) -> None:
        """Whoever may write does so all the time."""
        for process in self.processes:
            for budget, until in process.granted.items():
                last = min(self.now, process.true(until))
                key = id(process.observer)
                self.last_write[budget][key] = max(last, self.last_write[budget].get(key, -math.inf))

    def replied(self, process: Process, reply: Reply) -> None:
        """A process takes in what it waited for."""
        assert process.pending is not None
        (request, sent), process.pending = process.pending, None
        observer, now = process.observer, process.clock(self.now)
        self.expire(process)
        changes = observer.replied(request, sent, now, reply)
        for budget in changes.lost:
            process.granted.pop(budget, None)
            process.letting_go.discard(budget)
        if changes.renewed:
            for budget in process.observer.held:
                if budget not in process.letting_go and budget in process.granted:
                    process.granted[budget] = observer.until
        for budget, gain in changes.gained.items():
            inheritance, state = gain.inheritance, gain.state
            own = process.own_states.pop(budget, None)
            self.gained(process, budget, inheritance.silent, inheritance.age, state if own is None else None)
            process.granted[budget] = observer.until
        self.begin_letting_go(process, observer.to_hand_over(now))
        if changes.again:
            self.send(self.processes.index(process))

    def gained(self, process: Process, budget: str, silent: bool, age: float, state: str | None) -> None:
        """The calls before this one ended early enough, or are known."""
        self.write()
        for key, last in self.last_write[budget].items():
            if key == id(process.observer):
                continue
            if silent:
                assert APART <= self.now - last
            elif state is not None:
                made = json.loads(state)
                assert made["at"] >= last or self.now - last >= APART
                assert age <= (self.now - made["at"]) * 1.0100001 + 1e-6

    def begin_letting_go(self, process: Process, budgets: Sequence[str]) -> None:
        """A process grants no more calls of these."""
        self.write()
        process.letting_go.update(budgets)
        for budget in budgets:
            process.granted.pop(budget, None)

    def expire(self, process: Process) -> None:
        """A process notices that its lease has ended."""
        now = process.clock(self.now)
        for budget in process.observer.expire(now):
            process.own_states[budget] = now, self.now

    def state(self, process: Process) -> str:
        """What it would hand over now."""
        return json.dumps({"at": self.now})


class BlindMachine(Machine):
    """The same with an engine that does not tell its runs apart, as where INFO is forbidden; connections break then."""

    tells_runs = False


common = settings(deadline=None, stateful_step_count=50, suppress_health_check=[HealthCheck.too_slow])
Machine.TestCase.settings = settings(common, max_examples=8)
BlindMachine.TestCase.settings = settings(common, max_examples=4)

TestReplicas = Machine.TestCase
TestReplicasOfABlindEngine = BlindMachine.TestCase


def test_lease_leaves_the_vendors_second():
    """A holder whose clock is slow by 1 % and a claimant whose clock is fast by 1 % stay more than 1.02 s apart."""
    for lease in (2.0, 5.0, 60.0):
        assert APART < lease / 1.01 - writes_for(lease) / 0.99
