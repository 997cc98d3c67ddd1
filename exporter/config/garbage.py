"""
The garbage collector, out of the way while a large file is read.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_pauses = 0
_was_enabled = False


@contextmanager
def collection_paused() -> Iterator[None]:
    """
    No collection of cyclic garbage, in any thread, until the last of the pauses ends.

    Every object of a growing tree would be visited again and again: reading took four times as long, and each full
    collection kept all other threads waiting for a tenth of a second. A tree has no cycles, so nothing is lost.
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
            if _pauses == 0 and _was_enabled:
                gc.enable()
