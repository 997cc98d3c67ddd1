"""Rate limits in an exact sliding window: no window of one second may contain more calls than the limit."""

from collections import deque
from dataclasses import dataclass

from exporter.simulator.settings import DOCUMENTED_LIMITS, Settings


class Budget:
    """
    One limit of one app (Volcengine: of one access key).

    Times are monotonic seconds and must not decrease. The window at time t is (t - 1, t]. As with the vendors, rejected
    calls do not use the budget up, but they are counted in the report.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.calls = self.rejected = self.worst = 0
        self._received: deque[float] = deque()
        self._admitted: deque[float] = deque()

    def receive(self, at: float) -> None:
        """Count a call, rejected or not."""
        _forget(self._received, at - 1)
        self._received.append(at)
        self.calls += 1
        self.worst = max(self.worst, len(self._received))

    def admit(self, at: float) -> bool:
        """Whether this call is within the limit. If so, it uses the budget."""
        _forget(self._admitted, at - 1)
        if len(self._admitted) >= self.limit:
            self.rejected += 1
            return False
        self._admitted.append(at)
        return True

    def reset_counters(self) -> None:
        """Reset the counters. Calls of the last second still use the budget."""
        self.calls = self.rejected = self.worst = 0


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """
    Attributes:
        limit: The present limit, in calls per sliding second.
        worst: Most calls in any sliding second, including rejected ones.
    """

    name: str
    holder: str
    limit: int
    calls: int
    rejected: int
    worst: int


class Limits:
    """All budgets, each made at its first use."""

    def __init__(self, settings: Settings) -> None:
        self._limits = {name: settings.limit(name) for name in DOCUMENTED_LIMITS}
        self._own: dict[tuple[str, str], int] = {}
        self._budgets: dict[tuple[str, str], Budget] = {}

    def budget(self, name: str, holder: str) -> Budget:
        """
        Args:
            name: Name of the limit, see `settings.DOCUMENTED_LIMITS`.
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
        Change a limit from now on, for one holder or for all. For instance, to play another client of the same app that
        uses half of the quota.

        Raises:
            KeyError: No limit has that name.
            ValueError: A negative number.
        """
        if name not in self._limits:
            raise KeyError(name)
        if calls < 0:
            raise ValueError(f"{calls} calls per second: a negative number")
        if holder is None:
            self._limits[name] = calls
            self._own = {key: own for key, own in self._own.items() if key[0] != name}
        else:
            self._own[name, holder] = calls
        for key, budget in self._budgets.items():
            if key[0] == name and holder in (None, key[1]):
                budget.limit = calls

    def report(self) -> list[BudgetReport]:
        """All budgets in use, sorted by name and holder."""
        return [
            BudgetReport(name, holder, budget.limit, budget.calls, budget.rejected, budget.worst)
            for (name, holder), budget in sorted(self._budgets.items())
        ]

    def reset_counters(self) -> None:
        """Reset the counters of all budgets."""
        for budget in self._budgets.values():
            budget.reset_counters()


def _forget(moments: deque[float], until: float) -> None:
    while moments and moments[0] <= until:
        moments.popleft()
