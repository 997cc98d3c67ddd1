"""The HTTP side: scrapes, health, the JSON API and the status page."""

from exporter.web.process import Log, Process
from exporter.web.server import WebServer

__all__ = ["Log", "Process", "WebServer"]
