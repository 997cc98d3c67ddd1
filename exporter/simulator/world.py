"""The world of one app: its rooms, and every number of users that they ever had."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

from exporter.simulator import room_ids
from exporter.simulator.clock import Clock
from exporter.simulator.listing import Life
from exporter.simulator.population import ABSENT, Curve, State, present
from exporter.simulator.settings import APIS

MOST_STEPS = 200_000
"""Most changes of one room that a window may contain."""

_OLDEST = 6 * 3600
"""Seconds; how long before the start of its world a room that always exists may have been opened."""

_LOOK_BACK = 86_400
"""Seconds; sessions that are older are not told of."""

Changed = Callable[[str, str, State, State, float, float], None]
"""Is told API, room, what it was, what it is, since when, and when the life began that it is or was in."""

__all__ = ["ABSENT", "State", "World"]


@dataclass(frozen=True, slots=True)
class _Scripted:
    """From the Unix time `at` on the room has this state; None: it follows its curve again."""

    at: float
    state: State | None


class World:
    """
    The rooms of each API and their users, as one app of each vendor sees them.

    Rooms of the start follow their curve. A state that a test sets stays until the next one is set, and the history of
    these states is kept. All other rooms do not exist. Times are Unix seconds; the default is now.

    Args:
        number, of: Number of this world, from 0 on, and the number of all worlds. All have the same room ids, but their
            curves never have the same number of users (see `population.Curve`).
        changed: Called with every change that a test makes.
    """

    def __init__(
        self,
        *,
        seed: int,
        rooms: Mapping[str, int],
        clock: Clock,
        churn: float = 0.15,
        number: int = 0,
        of: int = 1,
        changed: Changed | None = None,
    ) -> None:
        self._seed, self._churn, self._clock = seed, churn, clock
        self._number, self._of, self._changed = number, of, changed
        self._began = clock.time()
        self._curves: dict[str, dict[str, Curve | None]] = {
            api: dict.fromkeys(room_ids.sample(api, rooms.get(api, 0), seed)) for api in APIS
        }
        self._at_start = {api: tuple(curves) for api, curves in self._curves.items()}
        self._scripts: dict[str, dict[str, list[_Scripted]]] = {api: {} for api in APIS}
        self._listed: dict[str, tuple[int, list[str]]] = {}
        self._crowded: dict[str, tuple[int, list[tuple[str, int]]]] = {}
        self._lives: dict[tuple[str, float, float], list[Life]] = {}

    def room_ids(self, api: str) -> list[str]:
        """The rooms of the start, existing now or not. A longer list begins with the shorter one of the same seed."""
        return list(self._at_start[api])

    def known(self, api: str) -> list[str]:
        """The rooms of the start, and those that a test made."""
        curves = self._curves[api]
        return [*curves, *(room for room in self._scripts[api] if room not in curves)]

    def state(self, api: str, room: str, at: float | None = None) -> State:
        """The true state of a room at a moment."""
        moment = self._clock.time() if at is None else at
        if scripted := self._scripted(api, room, moment):
            return scripted
        curve = self._curve(api, room)
        return ABSENT if curve is None else curve.state(curve.step_at(moment))

    def users(self, api: str, room: str, at: float | None = None) -> int:
        """Users in the room; 0 if it does not exist."""
        return self.state(api, room, at).users

    def exists(self, api: str, room: str, at: float | None = None) -> bool:
        """Whether the room exists."""
        moment = self._clock.time() if at is None else at
        if scripted := self._scripted(api, room, moment):
            return scripted.exists
        curve = self._curve(api, room)
        return curve is not None and curve.exists(moment)

    def listed(self, api: str, at: float) -> list[str]:
        """The rooms that exist at that moment; looked up once a second."""
        second, rooms = self._listed.get(api, (None, []))
        if second != int(at):
            rooms = [room for room in self.known(api) if self.exists(api, room, at)]
            self._listed[api] = int(at), rooms
        return rooms

    def crowded(self, api: str, at: float) -> list[tuple[str, int]]:
        """The rooms that have users at that moment, the fullest first; looked up once a second."""
        second, rooms = self._crowded.get(api, (None, []))
        if second != int(at):
            users = ((room, self.users(api, room, at)) for room in self.listed(api, at))
            rooms = sorted((room for room in users if room[1]), key=lambda room: (-room[1], room[0]))
            self._crowded[api] = int(at), rooms
        return rooms

    def lives(self, api: str, start: float, end: float) -> list[Life]:
        """The lives that began between `start` and `end`, both included, the first that began first."""
        key = api, start, float(int(end))
        if key not in self._lives:
            lives = [life for room in self.known(api) for life in self._room_lives(api, room, end)]
            found = sorted((life for life in lives if start <= life.opened <= end), key=lambda life: life[1::-1])
            self._lives = {key: found}  # the last window only: the pages of one list come one after the other
        return self._lives[key]

    def states(self, api: str, room: str, start: float, end: float) -> list[State]:
        """
        Every state that the room had between `start` and `end`, both included, in order of time.

        Raises:
            ValueError: The window is reversed, or spans more than 200,000 changes.
        """
        if end < start:
            raise ValueError(f"the window ends ({end}) before it starts ({start})")
        states: list[State] = []
        for first, last, scripted in self._stretches(api, room, start, end):
            curve = self._curve(api, room)
            if scripted is not None:
                states.append(scripted)
            elif curve is None:
                states.append(ABSENT)
            else:
                steps = range(curve.step_at(first), curve.step_at(last) + 1)
                if len(steps) > MOST_STEPS:
                    raise ValueError(f"the window of {end - start:.0f} s spans more than {MOST_STEPS} changes")
                states.extend(curve.state(step) for step in steps)
        return states

    def values(self, api: str, room: str, start: float, end: float) -> set[int]:
        """Every number of users that it had between `start` and `end`, both included; 0 while it did not exist."""
        return {state.users for state in self.states(api, room, start, end)}

    def set(self, api: str, room: str, users: int, *, admin: int = 0, invisible: int = 0) -> None:
        """
        Set the room's users from now on; it exists from now on.

        Raises:
            ValueError: A negative number, or more admin or invisible users than users.
        """
        self._script(api, room, present(users, admin=admin, invisible=invisible))

    def create(self, api: str, room: str, users: int = 1) -> None:
        """Create the room, with its first users."""
        self.set(api, room, users)

    def destroy(self, api: str, room: str) -> None:
        """The room does not exist from now on."""
        self._script(api, room, ABSENT)

    def release(self, api: str, room: str) -> None:
        """Let the room follow its curve again; a room without a curve is destroyed."""
        self._script(api, room, None)

    def forget(self, api: str, room: str) -> None:
        """Remember nothing of a room that a script made."""
        self._scripts[api].pop(room, None)

    def _scripted(self, api: str, room: str, at: float) -> State | None:
        """The state that a test has set; None: the room follows its curve."""
        scripts = self._scripts[api].get(room)
        if not scripts:
            return None
        index = bisect_right(scripts, at, key=lambda script: script.at)
        return scripts[index - 1].state if index else None

    def _script(self, api: str, room: str, state: State | None) -> None:
        scripts = self._scripts[api].setdefault(room, [])
        now = self._clock.time()
        # The history must stay sorted, even if the wall clock is set back.
        now = max(now, scripts[-1].at) if scripts else now
        before, opened = self.state(api, room, now), self._opened(api, room, now)
        scripts.append(_Scripted(now, state))
        after = self.state(api, room, now)
        if self._changed is not None and after != before:
            self._changed(api, room, before, after, now, opened if before.exists else now)

    def _opened(self, api: str, room: str, at: float) -> float:
        """When the life began that the room is in at that moment."""
        lives = [life for life in self._room_lives(api, room, at) if life.closed is None]
        return lives[-1].opened if lives else at

    def _room_lives(self, api: str, room: str, until: float) -> Iterator[Life]:
        """A room's lives that began until then."""
        opened: float | None = None
        for since, exists in self._turns(api, room, until):
            if since > until:
                break
            if exists and opened is None:
                opened = since
            elif not exists and opened is not None:
                yield Life(room, opened, since)
                opened = None
        if opened is not None:
            yield Life(room, opened, None)

    def _turns(self, api: str, room: str, until: float) -> Iterator[tuple[float, bool]]:
        """The moments at which the room began or ceased to exist, or may have gone on as it was."""
        scripts = self._scripts[api].get(room, [])
        yield from self._curve_turns(api, room, -math.inf, scripts[0].at if scripts else until)
        for script, following in zip_longest(scripts, scripts[1:]):
            if script.state is not None:
                yield script.at, script.state.exists
            else:
                yield script.at, self.state(api, room, script.at).exists
                yield from self._curve_turns(api, room, script.at, following.at if following else until)

    def _curve_turns(self, api: str, room: str, start: float, end: float) -> Iterator[tuple[float, bool]]:
        curve = self._curve(api, room)
        if curve is None:
            return
        if not curve.cycle:
            yield max(start, self._began - curve.key % _OLDEST), True
            return
        for opened, closed in curve.lives(max(start, end - _LOOK_BACK), end):
            yield max(opened, start), True
            if closed <= end:
                yield closed, False

    def _stretches(self, api: str, room: str, start: float, end: float) -> Iterator[tuple[float, float, State | None]]:
        """The window, divided at the changes that tests made: (from, to, set state or None for the curve)."""
        scripts = self._scripts[api].get(room, [])
        # The moment of a change belongs to both sides: two changes may have the same time.
        index = bisect_left(scripts, start, key=lambda script: script.at)
        current, since = scripts[index - 1].state if index else None, start
        for script in scripts[index:]:
            if script.at > end:
                break
            yield since, script.at, current
            current, since = script.state, script.at
        yield since, end, current

    def _curve(self, api: str, room: str) -> Curve | None:
        """The curve of a room, made at its first use: so a world of 100,000 rooms starts at once."""
        curves = self._curves[api]
        if room not in curves:
            return None
        curve = curves[room]
        if curve is None:
            curve = curves[room] = Curve.of(self._seed, api, room, self._churn, world=self._number, worlds=self._of)
        return curve
