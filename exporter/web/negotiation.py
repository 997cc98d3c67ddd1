"""
Which format and which encoding a scraper accepts, from its ``Accept`` and ``Accept-Encoding`` headers.

A client that asks for nothing we have gets the text format, uncompressed: every Prometheus reads that.

prometheus_client's ``choose_encoder`` and ``gzip_accepted`` would get some clients wrong. They take the first format of
a list whatever its weight, so a Prometheus whose ``scrape_protocols`` begin with ``PrometheusText0.0.4`` would get
OpenMetrics. They promise any version from 1.0.0 on that a client names, 2.0.0 too, and fail for one in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from exporter.metrics.exposition import OPENMETRICS_TYPE, TEXT_TYPE

_WEIGHT = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII)
_OPENMETRICS: Final = "application/openmetrics-text"
_OPENMETRICS_VERSIONS: Final = ("1.0.0", "0.0.1")
_TEXT: Final = "text/plain"
_TEXT_VERSIONS: Final = ("0.0.4",)


@dataclass(frozen=True, slots=True)
class Choice:
    """
    One alternative of an ``Accept`` or ``Accept-Encoding`` header.

    Args:
        value: In lower case, without parameters.
        weight: Its ``q``: 0 (never) to 1.
    """

    value: str
    weight: float = 1.0
    parameters: dict[str, str] = field(default_factory=dict)


def choices(header: str) -> Iterator[Choice]:
    """The alternatives of a header; those with a ``q`` that is not a weight are left out."""
    for alternative in header.split(","):
        value, *rest = (part.strip() for part in alternative.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {name.strip().lower(): text.strip().strip('"') for name, _, text in pairs}
        weight = parameters.pop("q", "1")
        if value and _WEIGHT.fullmatch(weight):
            yield Choice(value.lower(), float(weight), parameters)


def content_type(accept: str) -> str:
    """
    The content type of the answer: OpenMetrics only for a client that likes it at least as much as the text format.

    A version of OpenMetrics that nobody named is answered with 1.0.0.
    """
    offered = list(choices(accept))
    weights = {version: _weight(offered, _OPENMETRICS, (version,)) for version in _OPENMETRICS_VERSIONS}
    version = max(_OPENMETRICS_VERSIONS, key=lambda version: weights[version])
    text = _weight(offered, _TEXT, _TEXT_VERSIONS)
    named = any(choice.value == _OPENMETRICS and choice.weight > 0 for choice in offered)
    if weights[version] > text or (named and weights[version] == text > 0):
        return OPENMETRICS_TYPE.replace(_OPENMETRICS_VERSIONS[0], version)
    return TEXT_TYPE


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the client takes gzip, and likes it no less than uncompressed bytes."""
    weights: dict[str, float] = {}
    for choice in choices(accept_encoding):
        weights.setdefault("gzip" if choice.value == "x-gzip" else choice.value, choice.weight)
    gzip = weights.get("gzip", weights.get("*", 0.0))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight(offered: Iterable[Choice], media_type: str, versions: tuple[str, ...]) -> float:
    main, _, _ = media_type.partition("/")
    for media_range in (media_type, f"{main}/*", "*/*"):
        matching = [
            choice.weight
            for choice in offered
            if choice.value == media_range and choice.parameters.get("version", versions[0]) in versions
        ]
        if matching:
            return max(matching)
    return 0.0
