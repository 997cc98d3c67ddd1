"""The clock, which is passed in as an argument so that tests can replace it."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_SINCE_BOOT: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def monotonic() -> float:
    """
    Seconds that never go back, and that include the time for which the machine was suspended.

    On Linux, Python's ``time.monotonic`` stops during a suspend: a reading would still look fresh after an hour of
    suspend. On systems without a clock that includes suspend, this is ``time.monotonic``.
    """
    return time.clock_gettime(_SINCE_BOOT)


@dataclass(frozen=True, slots=True)
class Clock:
    """
    Time and randomness.

    Args:
        monotonic: Seconds that never go back, suspend included; for ages, slots and due times.
        unix: Unix seconds, which may jump; for the stamps of requests and readings.
        uniform: A random float between two bounds, for jitter.
        nonce: 16 fresh hex digits.
    """

    monotonic: Callable[[], float] = monotonic
    unix: Callable[[], float] = time.time
    uniform: Callable[[float, float], float] = random.uniform
    nonce: Callable[[], str] = field(default=lambda: os.urandom(8).hex())
