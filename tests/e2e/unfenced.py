"""
The exporter without the fences that keep a frozen holder from calling: `python -m tests.e2e.unfenced run …`.

It lets go of its budgets when its event loop notices that the lease has run out, or when the engine says so. That is
how leases are often kept: nothing asks for the time just before a call is written, and the kernel has no timer.
"""

from __future__ import annotations

import math
from unittest.mock import patch

from exporter import alarm, cli
from exporter.cluster.replica import Replica
from exporter.polling.budget import Budget


def main() -> None:
    """Run it."""
    expire = Replica._expire

    def lose_expired(replica: Replica) -> None:
        held = {*replica._observer.held}
        expire(replica)
        for budget in held - replica._observer.held.keys():
            replica._budgets.lose(budget)

    with (
        patch.object(alarm, "end_within"),
        patch.object(Replica, "_expire", lose_expired),
        patch.object(Budget, "held", property(lambda budget: budget.held_until > -math.inf)),
    ):
        cli.main()


if __name__ == "__main__":
    main()
