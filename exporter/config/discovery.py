"""
How a source's rooms find themselves, as the rest of the exporter sees it: checked, complete, frozen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from exporter.vendors.source import Certificates, Secret


@dataclass(frozen=True, slots=True)
class HttpSdConfig:
    """
    One HTTP service discovery endpoint.

    Args:
        name: Of the provider: ``http_sd``, or ``http_sd/1`` and so on where there are several.
        url: May hold a password; never shown whole.
        refresh_interval: Seconds between two requests, and the time-out of one.
        max_age: Seconds after which a list that cannot be refreshed counts no longer; ``None``: it counts for ever.
        username: With ``password``, for basic auth.
        authorization_type: With ``credentials``, for the header ``Authorization``.
        cert_file: With ``key_file``, the client's certificate; read anew for each connection.
    """

    name: str
    url: str = field(repr=False)
    refresh_interval: float = 10.0
    max_age: float | None = None
    max_body: int = 32 * 2**20
    username: str | None = None
    password: Secret | None = None
    authorization_type: str = "Bearer"
    credentials: Secret | None = None
    ca_file: Certificates | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False
    proxy: str | None = field(default=None, repr=False)
    follow_redirects: bool = True


@dataclass(frozen=True, slots=True)
class VendorListConfig:
    """
    Passes over the vendor's list.

    Args:
        interval: Seconds from one pass to the next.
        full_interval: Seconds between two passes that ask for everything, where a list can be asked for what is new.
        lookback: Seconds that a full pass looks back, where a list is of a span of time.
        rate_limit: Calls per second of the list's budget.
        budget: The budget's name.
        counts: Whether the list's counts are readings.
    """

    interval: float
    full_interval: float
    lookback: float
    rate_limit: float
    budget: str
    counts: bool = False


@dataclass(frozen=True, slots=True)
class CallbacksConfig:
    """
    Which callbacks a source accepts.

    Args:
        secrets: One, or two during a rotation.
        path_tokens: Last parts of the path ``/callback/{source}/{token}``; one, or two during a rotation.
        max_age: Seconds by which a callback's time may differ from ours.
    """

    secrets: tuple[Secret, ...]
    path_tokens: tuple[Secret, ...]
    max_age: float


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """
    Where callbacks arrive.

    Args:
        listen_address: ``[host]:port``.
        max_body: Bytes.
        trusted_proxies: Networks whose ``X-Forwarded-For`` is believed.
        allow: Networks from which callbacks are taken; empty: from everywhere.
    """

    listen_address: str
    max_body: int = 65_536
    trusted_proxies: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DiscoveryConfig:
    """
    How a source's rooms find themselves. All times are in seconds.

    Args:
        max_rooms: Watched rooms of the source, those of the operator included; known ones stay, new ones are rejected.
        new_rooms_per_minute: Of rooms that vendor or callbacks name.
        include: A room that vendor, callbacks or http_sd name must match one of these as a whole, if there are any.
        exclude: And none of these.
        probation: A candidate that no poll confirms for so long is dropped.
        linger: A room that is gone stays published as missing for so long.
        drop_after: Good polls in a row that must say that a room is gone.
        forget_after: So long it is remembered that a room is gone.
        refused_for: So long a room that the vendor refused is not watched again.
        idle_after: A found room that is empty for so long is polled every ``idle_interval``; 0: never.
    """

    max_rooms: int
    new_rooms_per_minute: int = 600
    include: tuple[re.Pattern[str], ...] = ()
    exclude: tuple[re.Pattern[str], ...] = ()
    probation: float = 60.0
    linger: float = 60.0
    drop_after: int = 2
    forget_after: float = 600.0
    refused_for: float = 3600.0
    idle_after: float = 0.0
    idle_interval: float = 60.0
    http_sd: tuple[HttpSdConfig, ...] = ()
    vendor_list: VendorListConfig | None = None
    callbacks: CallbacksConfig | None = None
