"""
Where the process begins: ``rtc-room-exporter`` and ``python -m exporter``.

Signals may come before the exporter is even loaded. One that asks ``run`` to end is obeyed at once, and one that asks
for a reload is forgotten, since no config has been read yet.
"""

from __future__ import annotations

import signal
import sys

_ENDING = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    """Entry point of the program."""
    if "run" in sys.argv[1:2]:
        for number in _ENDING:
            signal.signal(number, _leave)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from exporter import cli

    cli.main()


def _leave(*_: object) -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)  # the end is near, and not to be told a second time
    sys.exit(0)


if __name__ == "__main__":
    main()
