"""``python -m exporter`` is ``rtc-room-exporter``."""

from exporter.cli import main

main()
