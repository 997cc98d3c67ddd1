"""
The exporter as a program that measures how long its loop is held up: `python -m tests.hostile.watched FILE run …`.

A stall is a tick of the loop's timer that comes late, as far as this process was computing meanwhile: what other
processes take of the machine does not count. At SIGUSR1 the worst stall since the last signal, in seconds, goes into
the file, and the measurement begins anew.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from exporter import app, cli

TICK: Final = 0.002


class Watch:
    """
    Measures the running loop.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._worst = 0.0
        self._ticks = 0
        self._last = time.perf_counter(), time.process_time()
        self._loop.add_signal_handler(signal.SIGUSR1, self._tell)
        self._tick()

    def _tick(self) -> None:
        now, computed = time.perf_counter(), time.process_time()
        late = now - self._last[0] - TICK
        self._worst = max(self._worst, min(late, computed - self._last[1]))
        self._last = now, computed
        self._ticks += 1
        self._loop.call_later(TICK, self._tick)

    def _tell(self) -> None:
        unfinished = self._file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps({"stall": self._worst, "ticks": self._ticks}))
        unfinished.rename(self._file)
        self._worst, self._ticks = 0.0, 0
        self._last = time.perf_counter(), time.process_time()


def main() -> None:
    """Run the exporter under watch."""
    file = Path(sys.argv.pop(1))
    run = app.run

    async def watched_run(exporter: app.Exporter, started: Callable[[], None]) -> None:
        watch = Watch(file)
        await run(exporter, started)
        del watch

    vars(app)["run"] = watched_run
    cli.main()


if __name__ == "__main__":
    main()
