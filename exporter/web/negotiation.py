"""
Chooses format and encoding of a scrape from the headers ``Accept`` and ``Accept-Encoding`` (content negotiation).

A client that accepts neither of our formats gets the text format, uncompressed: every Prometheus reads it.

Why not prometheus_client's ``choose_encoder`` and ``gzip_accepted``: they take the first format of the list and ignore
weights (``q=``). So a Prometheus whose ``scrape_protocols`` begin with ``PrometheusText0.0.4`` would get OpenMetrics.
They also confirm any version from 1.0.0 on that a client names, even 2.0.0, and fail for a version in quotes.
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
        weight: The parameter ``q``, from 0 (not acceptable) to 1.
    """

    value: str
    weight: float = 1.0
    parameters: dict[str, str] = field(default_factory=dict)


def choices(header: str) -> Iterator[Choice]:
    """The alternatives of a header. One whose ``q`` is not a valid weight is skipped."""
    for alternative in header.split(","):
        value, *rest = (part.strip() for part in alternative.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {name.strip().lower(): text.strip().strip('"') for name, _, text in pairs}
        weight = parameters.pop("q", "1")
        if value and _WEIGHT.fullmatch(weight):
            yield Choice(value.lower(), float(weight), parameters)


def content_type(accept: str) -> str:
    """
    The content type of the answer: OpenMetrics if the client gives it at least the weight of the text format.

    If the client names no version of OpenMetrics, it gets 1.0.0.
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
    """Whether the client accepts gzip, with at least the weight of uncompressed bytes."""
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
