"""
The entry point of ``rtc-room-exporter`` and ``python -m exporter``.

A signal may arrive while the exporter is still being loaded. Then ``run`` exits at once on SIGTERM or SIGINT. It
ignores SIGHUP, since it has not read a config yet.
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
            signal.signal(number, _exit)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _check_key_log()
    from exporter import cli

    cli.main()


def _check_key_log() -> None:
    """Python writes TLS keys to this file. If it cannot, the first import that makes a TLS context fails."""
    path = os.environ.get("SSLKEYLOGFILE")
    if not path:
        return
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600))
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "no path").lower()
        sys.exit(f"SSLKEYLOGFILE: found {path!a} ({reason}); accepted: a file that can be written, or nothing")


def _exit(*_: object) -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)  # a second signal must not interrupt the exit
    sys.exit(0)


if __name__ == "__main__":
    main()
