"""The one clock of polling, injected so that tests can turn it."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Clock:
    """
    Time and chance.

    Args:
        monotonic: Seconds that only ever go forward; decides ages, slots and due times.
        unix: Unix seconds; stamps requests and readings, and may jump.
        uniform: A random float between two bounds, for jitter.
        nonce: 16 fresh hex digits.
    """

    monotonic: Callable[[], float] = time.monotonic
    unix: Callable[[], float] = time.time
    uniform: Callable[[float, float], float] = random.uniform
    nonce: Callable[[], str] = field(default=lambda: os.urandom(8).hex())
