"""
From the keys of ``discovery`` to what the rest of the exporter sees, its defaults filled in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exporter.config.discovery import CallbacksConfig, DiscoveryConfig, HttpSdConfig, VendorListConfig
from exporter.config.discovery_schema import Callbacks, Discovery, HttpSd, VendorList
from exporter.config.models import SourceConfig

MOST_BY_DEFAULT: Final = 20_000
"""Rooms of a source whose ``max_rooms`` is not configured."""

_LEAST_STALENESS: Final = 30.0
_OF_LIMIT: Final = 0.97
_LIST_SHARE: Final = 0.5
_DROP_AFTER: Final = 2
_DROP_AFTER_UNSEEN: Final = 3


def discovery(keys: Discovery, config: SourceConfig, *, sharing: int) -> DiscoveryConfig:
    """
    How the rooms of a source find themselves.

    Args:
        config: The source, its own ``discovery`` left out.
        sharing: How many sources share its budget.
    """
    drop_after = _DROP_AFTER if config.codec.tells_existence else _DROP_AFTER_UNSEEN
    return DiscoveryConfig(
        max_rooms=keys.max_rooms or default_max_rooms(config, sharing),
        new_rooms_per_minute=keys.new_rooms_per_minute,
        include=keys.include,
        exclude=keys.exclude,
        probation=keys.probation,
        linger=keys.linger,
        drop_after=keys.drop_after or drop_after,
        forget_after=keys.forget_after,
        refused_for=keys.refused_for,
        idle_after=keys.idle_after,
        idle_interval=max(keys.idle_interval, config.interval),
        http_sd=_http_sds(keys.http_sd),
        vendor_list=_vendor_list(keys.vendor_list, config) if keys.vendor_list else None,
        callbacks=_callbacks(keys.callbacks, config) if keys.callbacks else None,
    )


def default_max_rooms(config: SourceConfig, sharing: int) -> int:
    """
    As many rooms as can be read so often that no reading grows older than ``max_staleness``, one call failing; with a
    cadence, as many as can be read once per ``longest``.
    """
    staleness = config.max_staleness or max(_LEAST_STALENESS, 3 * config.interval)
    longest = config.longest or max(config.interval, (staleness - config.timeout) / 1.5)
    fitting = int(_OF_LIMIT * config.rate_limit * config.codec.batch_size * longest / sharing)
    return max(1, min(MOST_BY_DEFAULT, fitting))


def _http_sds(many: Sequence[HttpSd]) -> tuple[HttpSdConfig, ...]:
    return tuple(
        _http_sd(keys, "http_sd" if number == 1 else f"http_sd/{number}") for number, keys in enumerate(many, 1)
    )


def _http_sd(keys: HttpSd, name: str) -> HttpSdConfig:
    basic, header, tls = keys.basic_auth, keys.authorization, keys.tls_config
    return HttpSdConfig(
        name=name,
        url=keys.url,
        refresh_interval=keys.refresh_interval,
        max_age=keys.max_age,
        max_body=keys.max_body,
        username=basic.username if basic else None,
        password=basic.password if basic else None,
        authorization_type=header.type if header else "Bearer",
        credentials=header.credentials if header else None,
        ca_file=tls.ca_file,
        cert_file=tls.cert_file,
        key_file=tls.key_file,
        server_name=tls.server_name,
        insecure_skip_verify=tls.insecure_skip_verify,
        proxy=keys.proxy_url,
        follow_redirects=keys.follow_redirects,
    )


def _vendor_list(keys: VendorList, config: SourceConfig) -> VendorListConfig | None:
    lists = config.codec.lists
    if lists is None:
        return None
    # Where polls answer for all rooms they are the list, and what bounds polls bounds it.
    polled = lists.answers_all
    return VendorListConfig(
        interval=config.interval if polled else keys.interval or lists.default_interval,
        full_interval=keys.full_interval,
        lookback=keys.lookback,
        rate_limit=config.rate_limit if polled else keys.rate_limit or _LIST_SHARE * lists.limit(config.source),
        budget=config.budget if polled else lists.budget_key(config.source),
        counts=keys.counts,
    )


def _callbacks(keys: Callbacks, config: SourceConfig) -> CallbacksConfig | None:
    callbacks = config.codec.callbacks
    if callbacks is None:
        return None
    secrets = keys.secret, keys.previous_secret
    tokens = keys.path_token, keys.previous_path_token
    return CallbacksConfig(
        secrets=tuple(each for each in secrets if each is not None),
        path_tokens=tuple(each for each in tokens if each is not None),
        max_age=keys.max_age or callbacks.default_max_age,
    )
