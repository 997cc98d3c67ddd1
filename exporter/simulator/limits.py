"""Rate limits, counted the hard way: no sliding second may hold more calls than the limit."""

from collections import deque
from dataclasses import dataclass

from exporter.simulator.settings import DOCUMENTED_LIMITS, Settings


class Budget:
    """
    One limit of one app (at Volcengine: of one access key).

    Moments are seconds on the monotonic clock and must not fall. A second is (t - 1, t]. Refused calls do not use the
    budget up, as with the vendors, but they count in what is reported.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.calls = self.rejected = self.worst = 0
        self._received: deque[float] = deque()
        self._admitted: deque[float] = deque()

    def receive(self, at: float) -> None:
        """A call came in, whatever becomes of it."""
        _forget(self._received, at - 1)
        self._received.append(at)
        self.calls += 1
        self.worst = max(self.worst, len(self._received))

    def admit(self, at: float) -> bool:
        """Whether this call is within the limit; if so, it uses it."""
        _forget(self._admitted, at - 1)
        if len(self._admitted) >= self.limit:
            self.rejected += 1
            return False
        self._admitted.append(at)
        return True

    def forget_records(self) -> None:
        """Count calls, rejections and the worst second from zero; what the current second has used stays used."""
        self.calls = self.rejected = self.worst = 0


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """
    Attributes:
        limit: Calls per sliding second, as it is now.
        worst: Most calls that any sliding second held, rejected ones included.
    """

    name: str
    holder: str
    limit: int
    calls: int
    rejected: int
    worst: int


class Limits:
    """Every budget, made when first drawn on."""

    def __init__(self, settings: Settings) -> None:
        self._limits = {name: settings.limit(name) for name in DOCUMENTED_LIMITS}
        self._own: dict[tuple[str, str], int] = {}
        self._budgets: dict[tuple[str, str], Budget] = {}

    def budget(self, name: str, holder: str) -> Budget:
        """
        Args:
            name: The limit's name, see `settings.DOCUMENTED_LIMITS`.
            holder: App id or access key.

        Raises:
            KeyError: No limit has that name.
        """
        key = (name, holder)
        budget = self._budgets.get(key)
        if budget is None:
            budget = self._budgets[key] = Budget(self._own.get(key, self._limits[name]))
        return budget

    def change(self, name: str, calls: int, holder: str | None = None) -> None:
        """
        Allow that many calls per sliding second from now on, for one holder or for all: a rival that takes half of the
        quota, for instance.

        Raises:
            KeyError: No limit has that name.
            ValueError: A negative number.
        """
        if name not in self._limits:
            raise KeyError(name)
        if calls < 0:
            raise ValueError(f"{calls} calls per second: less than none")
        if holder is None:
            self._limits[name] = calls
            self._own = {key: own for key, own in self._own.items() if key[0] != name}
        else:
            self._own[name, holder] = calls
        for key, budget in self._budgets.items():
            if key[0] == name and holder in (None, key[1]):
                budget.limit = calls

    def report(self) -> list[BudgetReport]:
        """Every budget that was drawn on, in order of name and holder."""
        return [
            BudgetReport(name, holder, budget.limit, budget.calls, budget.rejected, budget.worst)
            for (name, holder), budget in sorted(self._budgets.items())
        ]

    def forget_records(self) -> None:
        """Start every report from zero."""
        for budget in self._budgets.values():
            budget.forget_records()


def _forget(moments: deque[float], until: float) -> None:
    while moments and moments[0] <= until:
        moments.popleft()
