"""
What a source whose rooms find themselves tells of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from exporter.metrics.discovery_stats import CallbackFigures, DiscoveryFigures, ProviderFigures
from exporter.metrics.durations import Durations
from tests.web.site import UNIX, Site

NO_DURATIONS = Durations(1.0).figures()
HTTP_SD = ProviderFigures("http_sd", "http_sd", 24, 10.0, UNIX - 4, "complete")
VENDOR_LIST = ProviderFigures("vendor_list", "vendor_list", 30, 30.0, UNIX - 20, "complete")
CALLBACKS = ProviderFigures("callbacks", "callbacks", 3)
WELL = DiscoveryFigures(
    labels=("zego", "zego_rtc", "live"),
    rooms={"http_sd": 24, "vendor_list": 30, "callbacks": 3},
    lives={"candidate": 2, "active": 30, "leaving": 1},
    last_success={"http_sd": UNIX - 4, "vendor_list": UNIX - 20},
    intervals={"http_sd": 10.0, "vendor_list": 30.0},
    last_complete=UNIX - 20,
    refreshes={("http_sd", "complete"): 1},
    durations={},
    added={"http_sd": 24, "vendor_list": 9, "callbacks": 3},
    dropped={"missing": 7, "unconfirmed": 0},
    rejected={"max_rooms": 0, "filter": 5},
    rejected_at={"filter": UNIX - 1},
    limit=1_000,
    lifetimes=NO_DURATIONS,
    providers=(HTTP_SD, VENDOR_LIST, CALLBACKS),
    callbacks=CallbackFigures({"accepted": 12, "bad_signature": 2}, UNIX - 6, NO_DURATIONS),
)


def finds(site: Site, source: str, figures: DiscoveryFigures = WELL, **changes: Any) -> None:
    """
    Let the rooms of a source find themselves, in these figures from now on.
    """
    shown = replace(figures, **changes)
    callbacks = shown.callbacks
    site.telemetry.discoveries[source] = lambda: shown
    site.telemetry.callbacks = lambda: {source: callbacks} if callbacks else {}
