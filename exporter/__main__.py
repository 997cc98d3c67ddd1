"""
Where the process begins: ``rtc-room-exporter`` and ``python -m exporter``.

Signals may come before the exporter is even loaded. One that asks ``run`` to end is obeyed at once, and one that asks
for a reload is forgotten, since no config has been read yet.
"""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Entry point of the program."""
    if "run" in sys.argv[1:2]:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from exporter import cli  # noqa: PLC0415  # it takes most of a second, and signals do not wait

    cli.main()


if __name__ == "__main__":
    main()
