"""The one clock, injected so that tests can turn it."""

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
    Seconds that only ever go forward, and go on while the machine is suspended.

    Python's ``time.monotonic`` stands still during a suspend on Linux: a reading from before it would look fresh after
    an hour's sleep. Where there is no clock that counts suspend, this is ``time.monotonic``.
    """
    return time.clock_gettime(_SINCE_BOOT)


@dataclass(frozen=True, slots=True)
class Clock:
    """
    Time and chance.

    Args:
        monotonic: Seconds that only ever go forward, suspend included; decides ages, slots and due times.
        unix: Unix seconds; stamps requests and readings, and may jump.
        uniform: A random float between two bounds, for jitter.
        nonce: 16 fresh hex digits.
    """

    monotonic: Callable[[], float] = monotonic
    unix: Callable[[], float] = time.time
    uniform: Callable[[float, float], float] = random.uniform
    nonce: Callable[[], str] = field(default=lambda: os.urandom(8).hex())
