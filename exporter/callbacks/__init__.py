"""Vendors' callbacks: a port of their own, at which vendors tell that something happened in a room."""

from __future__ import annotations

from exporter.callbacks.hints import Sink
from exporter.callbacks.listener import Listener
from exporter.callbacks.receiver import Result, Stats, Subscription

__all__ = ["Listener", "Result", "Sink", "Stats", "Subscription"]
