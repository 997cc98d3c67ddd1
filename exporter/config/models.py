"""
A config as the rest of the exporter uses it: validated, complete and frozen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.config.cluster import ClusterConfig
from exporter.config.discovery import DiscoveryConfig, ListenerConfig
from exporter.config.rooms import Defaults
from exporter.model import Room
from exporter.vendors.codec import Codec
from exporter.vendors.source import Certificates, Source


@dataclass(frozen=True, slots=True)
class ClientKey:
    """
    Everything that an HTTP client of a source depends on. If it stays equal at a reload, connections are kept.

    Args:
        base_url: Scheme, host and port.
        proxy: URL, which may hold a password.
    """

    base_url: str
    proxy: str | None = field(repr=False)
    ca_file: Certificates | None


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """
    One source with its defaults filled in.

    If the configs of a source before and after a reload are equal, the reload changes nothing for the source.

    Args:
        source: The vendor's model with resolved secrets.
        interval: Wanted seconds between two readings of a room.
        rate_limit: Calls per second, the same for every source of the budget.
        timeout: Seconds to open a connection, and seconds for one call.
        max_staleness: Seconds as configured; ``None``: 3 × the interval that the budget can keep, at least 30.
        rooms: The rooms in the config file, with their final labels and thresholds.
        rooms_files: Absolute paths. The last part may have wildcards.
        defaults: Labels and thresholds for the rooms of ``rooms_files``, and for those that are found.
        discovery: How its rooms find themselves; ``None``: they do not.
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
    discovery: DiscoveryConfig | None = None

    @property
    def rooms_key(self) -> str:
        """Identifies the owner of the rooms. A reading is valid only for the rooms key with which it was requested."""
        return self.codec.rooms_key(self.source)

    @property
    def base_url(self) -> str:
        """Scheme, host and port of this source's requests, without a final slash."""
        return self.codec.base_url(self.source)

    @property
    def limits(self) -> Mapping[str, float]:
        """The budgets that it draws on, with their limits: that of its polls, and that of the vendor's list."""
        lists = self.discovery.vendor_list if self.discovery else None
        return {self.budget: self.rate_limit} | ({lists.budget: lists.rate_limit} if lists else {})

    @property
    def client_key(self) -> ClientKey:
        """A reload makes a new HTTP client if this changes, and only then."""
        return ClientKey(self.base_url, self.source.proxy, self.source.ca_file)


@dataclass(frozen=True, slots=True)
class Config:
    """
    The whole config.

    Args:
        path: Of the config file.
        warnings: What is accepted but looks like a mistake, one line each.
        callbacks: Where callbacks arrive; ``None``: nowhere.
        cluster: ``None``: this process is alone.
    """

    path: Path
    sources: tuple[SourceConfig, ...]
    warnings: tuple[str, ...] = ()
    callbacks: ListenerConfig | None = None
    cluster: ClusterConfig | None = None
