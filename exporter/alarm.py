"""
The kernel's timer that ends this process (SIGALRM, default action). It ends also a process whose threads and event loop
hang, or that was frozen, before any more of its code runs.

A process has one such timer. Several reasons may set it, each with a moment of its own; the earliest counts.
"""

from __future__ import annotations

import signal
import time

_moments: dict[str, float] = {}


def end_within(reason: str, seconds: float) -> None:
    """End this process after this many seconds, unless this reason sets another moment or is cleared before."""
    _moments[reason] = time.monotonic() + seconds
    _set()


def clear(reason: str) -> None:
    """This reason ends the process no longer."""
    if _moments.pop(reason, None) is not None:
        _set()


def _set() -> None:
    if not _moments:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        return
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # 0 would switch the timer off
    signal.setitimer(signal.ITIMER_REAL, max(0.001, min(_moments.values()) - time.monotonic()))
