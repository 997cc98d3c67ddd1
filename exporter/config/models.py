"""
A config as the rest of the exporter sees it: checked, complete, frozen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from exporter.config.rooms import Defaults
from exporter.model import Room
from exporter.vendors.codec import Codec
from exporter.vendors.source import Certificates, Source


@dataclass(frozen=True, slots=True)
class ClientKey:
    """
    All that an HTTP client of one source is made of: with equal keys, connections can be kept across a reload.

    Args:
        base_url: Scheme, host and port.
        proxy: Its URL may hold a password.
    """

    base_url: str
    proxy: str | None = field(repr=False)
    ca_file: Certificates | None


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """
    One source with its defaults filled in.

    Two of them are equal if a reload has nothing to do for this source.

    Args:
        source: The vendor's model, its secrets resolved.
        interval: Wanted seconds between two readings of a room.
        rate_limit: Calls per second, the same for every source of the budget.
        timeout: Seconds for one call.
        max_staleness: Seconds as configured; ``None``: 3 × the interval that the budget can keep, at least 30.
        rooms: Those of the config itself, with the labels and thresholds that hold for them.
        rooms_files: Absolute paths whose last part may hold wildcards.
        defaults: Labels and thresholds for the rooms of ``rooms_files``.
    """

    name: str
    api: str
    vendor: str
    codec: Codec
    source: Source = field(repr=False)
    interval: float
    rate_limit: float
    budget: str
    timeout: float
    max_staleness: float | None
    rooms: tuple[Room, ...] = field(repr=False)
    rooms_files: tuple[str, ...]
    defaults: Defaults

    @property
    def rooms_key(self) -> str:
        """Names whose rooms these are; a reading may be published only for the key that it was asked with."""
        return self.codec.rooms_key(self.source)

    @property
    def base_url(self) -> str:
        """Where this source's requests go; no final slash."""
        return self.codec.base_url(self.source)

    @property
    def client_key(self) -> ClientKey:
        """Which sources could share an HTTP client: a reload makes a new one if this changes, and only then."""
        return ClientKey(self.base_url, self.source.proxy, self.source.ca_file)


@dataclass(frozen=True, slots=True)
class Config:
    """
    Args:
        path: The file that it was read from.
        warnings: What is accepted but looks like a mistake, a line each.
    """

    path: Path
    sources: tuple[SourceConfig, ...]
    warnings: tuple[str, ...] = ()
