"""
Pauses the garbage collector while a large file is read.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_MANY: Final = 10_000

_lock = threading.Lock()
_pauses = 0
_was_enabled = False


@contextmanager
def collection_paused() -> Iterator[None]:
    """
    Disable the collection of cyclic garbage in all threads. It is enabled again when the last pause ends.

    The collector would visit every object of a growing tree again and again. Reading took four times as long, and each
    full collection blocked all other threads for a tenth of a second. A tree has no cycles, so nothing leaks.

    What is left of many objects at the end is kept from the collector for good (``gc.freeze``): it would look at all of
    them at once, and again when they have survived that.
    """
    global _pauses, _was_enabled  # noqa: PLW0603 the collector is one per process, and so is its pause
    with _lock:
        if _pauses == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _pauses += 1
    try:
        yield
    finally:
        with _lock:
            _pauses -= 1
            if _pauses == 0 and gc.get_count()[0] > _MANY:
                gc.freeze()
            if _pauses == 0 and _was_enabled:
                gc.enable()
