"""The number of users in a room: a pure function of seed, room and time, constant for a few seconds at a time."""

import math
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

_MASK = 2**64 - 1
_NIGHT_SHARE = 0.12
_WOBBLE_STEPS = 24
_LARGEST = 20_000
_MAY_BE_EMPTY = frozenset({"tencent_im", "janus_videoroom"})


class State(NamedTuple):
    """The true state of a room at one moment. ``users`` includes admin and invisible users."""

    users: int
    admin: int
    invisible: int
    exists: bool


ABSENT = State(users=0, admin=0, invisible=0, exists=False)


def present(users: int, *, admin: int = 0, invisible: int = 0) -> State:
    """
    The state of a room that exists and has these users.

    Raises:
        ValueError: A negative number, or more admin or invisible users than users.
    """
    if min(admin, invisible) < 0 or max(admin, invisible) > users:
        raise ValueError(f"{users} users, {admin} of them admin, {invisible} invisible: not possible")
    return State(users, admin, invisible, exists=True)


@dataclass(frozen=True, slots=True)
class Curve:
    """
    The users of one room over time: a daily curve with its peak in the evening, a slow random variation, some noise.

    Time is divided into steps of 3 to 20 seconds; within a step nothing changes. Sizes are heavy-tailed, from a few
    users to thousands. A room with a cycle is created and destroyed once in each cycle.

    Attributes:
        peak: Users at the peak hour.
        step: Length of a step in seconds.
        phase: Start of the room's first step in seconds, so that rooms do not all change at once.
        peak_hour: UTC.
        cycle: Steps from one creation to the next; 0 for a room that always exists.
        open_share: Share of the cycle during which the room exists.
        least: Fewest users while it exists: a group may be empty; other rooms are destroyed with their last user.
        world, worlds: Number of this curve's world, and of all worlds. While the room exists, `users % worlds` is
            `world`: so no two worlds ever have the same number of users in a room.
    """

    key: int
    peak: float
    step: float
    phase: float
    peak_hour: float
    cycle: int
    open_share: float
    admins: int
    invisible_share: float
    least: int
    world: int = 0
    worlds: int = 1

    @classmethod
    def of(cls, seed: int, api: str, room: str, churn: float, *, world: int = 0, worlds: int = 1) -> "Curve":
        """The curve of a room; the same arguments always give the same curve."""
        name = f"{seed}\0{api}\0{room}" + (f"\0{world}" if world else "")
        digest = blake2b(name.encode(errors="surrogatepass"), digest_size=32).digest()
        size, pace, hour, life = (int.from_bytes(digest[at : at + 4]) / 2**32 for at in (8, 12, 16, 20))
        step = 3 + round(17 * pace)
        session = life < churn
        return cls(
            key=int.from_bytes(digest[:8]),
            peak=min(_LARGEST, 3 * (1 - size) ** -1.2),
            step=step,
            phase=digest[24] / 256 * step,
            peak_hour=12 + 3 * hour,
            cycle=int((1200 + 40 * digest[25]) / step) if session else 0,
            open_share=0.6 + 0.35 * digest[26] / 255,
            admins=(0, 0, 1, 2)[digest[27] % 4] if api == "zego_rtc" else 0,
            invisible_share=0.6 * digest[28] / 255 if api == "volcengine_rtc" else 0.0,
            least=0 if api in _MAY_BE_EMPTY else 1,
            world=world,
            worlds=worlds,
        )

    def step_at(self, at: float) -> int:
        """The number of the step at that Unix time; it never decreases with time."""
        return math.floor((at - self.phase) / self.step)

    def state(self, step: int) -> State:
        """The true state of the room during that step."""
        presence = self._presence(step) if self.cycle else 1.0
        if presence <= 0:
            return ABSENT
        hours = (step * self.step + self.phase) / 3600
        daylight = (0.5 + 0.5 * math.cos((hours - self.peak_hour) * math.pi / 12)) ** 2
        expected = self.peak * presence * (_NIGHT_SHARE + (1 - _NIGHT_SHARE) * daylight)
        noise = 0.8 + 0.4 * self._wobble(step) + 0.1 * (_chance(self.key, step) - 0.5)
        users = max(self.least, round(expected * noise))
        users += (self.world - users) % self.worlds
        return State(users, min(users, self.admins), int(users * self.invisible_share), exists=True)

    def exists(self, at: float) -> bool:
        """Whether the room exists at that moment; cheaper than its state."""
        return not self.cycle or self._presence(self.step_at(at)) > 0

    def lives(self, start: float, end: float) -> list[tuple[float, float]]:
        """Opening and end of each session that overlaps the window, in Unix seconds; none of a room without a cycle."""
        if not self.cycle:
            return []
        laps = range(self.step_at(start) // self.cycle, self.step_at(end) // self.cycle + 1)
        spans = (self._span(lap) for lap in laps)
        return [(opened, closed) for opened, closed in spans if closed > start and opened <= end]

    def _span(self, lap: int) -> tuple[float, float]:
        length, opened = self._opening(lap)
        first = lap * self.cycle + opened
        return first * self.step + self.phase, (first + length) * self.step + self.phase

    def _opening(self, lap: int) -> tuple[int, int]:
        """For how many steps of that lap the room exists, and from which of them on."""
        length = int(self.cycle * self.open_share)
        return length, int((self.cycle - length) * _chance(~self.key & _MASK, lap))

    def _presence(self, step: int) -> float:
        """Factor for the users: 0 while the room is closed; rises to 1 after its creation and falls before its end."""
        lap, position = divmod(step, self.cycle)
        length, opened = self._opening(lap)
        ramp = max(1, length // 8)
        return min(1.0, (position - opened + 1) / ramp, (opened + length - position) / ramp)

    def _wobble(self, step: int) -> float:
        knot, between = divmod(step, _WOBBLE_STEPS)
        left, right = _chance(self.key, -2 * knot - 1), _chance(self.key, -2 * knot - 3)
        return left + (right - left) * between / _WOBBLE_STEPS


def _chance(key: int, number: int) -> float:
    """A hash of key and number, as a number in [0, 1): the finalizer of SplitMix64."""
    x = (key ^ (number * 0x9E3779B97F4A7C15)) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return (x ^ (x >> 31)) / 2**64
