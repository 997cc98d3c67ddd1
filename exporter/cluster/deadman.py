"""
Ends a process that stood still past its lease, before any more of its code runs.

The gate before each call asks whether the lease still holds. A process may be frozen just after that question (SIGSTOP,
a cgroup's freezer, swapping) and go on a minute later, with the call's bytes already on their way to the kernel. The
kernel does not stand still with it: it ends such a process (exit code 142), and whoever supervises it starts it again.

The timer is set anew at every confirmed exchange, and taken away when the process has let go of its budgets by itself.
The margin of the lease covers the time between the two. Limits: the timer does not count time for which the machine is
suspended, which the gate does; a hypervisor that stops a guest with its clocks shows in neither.
"""

from __future__ import annotations

from typing import Final

from exporter import alarm

_GRACE: Final = 0.1
_REASON: Final = "lease"


class Deadman:
    """The timer of this process' lease."""

    def arm(self, seconds: float) -> None:
        """The lease holds for so long."""
        alarm.end_within(_REASON, max(0.0, seconds) + _GRACE)

    def clear(self) -> None:
        """Nothing is held any more."""
        alarm.clear(_REASON)
