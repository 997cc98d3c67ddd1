"""
Where the process begins: ``rtc-room-exporter`` and ``python -m exporter``.

Signals may come before the exporter is even loaded. One that asks ``run`` to end is obeyed at once, and one that asks
for a reload is forgotten, since no config has been read yet.
"""

from __future__ import annotations

import os
import signal
import sys

_ENDING = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    """Entry point of the program."""
    if "run" in sys.argv[1:2]:
        for number in _ENDING:
            signal.signal(number, _leave)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _check_key_log()
    from exporter import cli

    cli.main()


def _check_key_log() -> None:
    """Python's TLS writes its keys to this file, and the first import that makes a TLS context fails if it cannot."""
    path = os.environ.get("SSLKEYLOGFILE")
    if not path:
        return
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600))
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "no path").lower()
        sys.exit(f"SSLKEYLOGFILE: found {path!a} ({reason}); accepted: a file that can be written, or nothing")


def _leave(*_: object) -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)  # the end is near, and not to be told a second time
    sys.exit(0)


if __name__ == "__main__":
    main()
