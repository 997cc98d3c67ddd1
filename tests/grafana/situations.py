"""
The situations in which each panel of the dashboards is read. Each is a job of its own in one Prometheus.

Where all is well there are 36 rooms. `live` has 24 above their critical threshold, more than a ranking holds, and three
above their warning threshold alone. In `chat` somebody closed a room, and another one lost more than half of its users.
`stream`, which is read every 40 s, has critical thresholds alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from exporter.model import FailureKind
from exporter.states import SourceState
from tests.grafana.fleet import Exporter, Room, Source, alert, many
from tests.grafana.remote_write import Series

LIVE = Source(
    "live",
    "zego",
    "zego_rtc",
    (
        *many("hall", 24, users=2001, warning=400, critical=1000),
        *many("foyer", 3, users=501, warning=400, critical=1000),
        *many("quiet", 3, users=0, warning=400, critical=1000),
    ),
    calls=0.3,
    finds=True,
)
CHAT = Source(
    "chat",
    "volcengine",
    "volcengine_rtc",
    (Room("lobby", 120), Room("questions", 100, later=40), Room("over", 300, later=0, closed=True), Room("staff", 3)),
)
STREAM = Source(
    "stream",
    "tencent",
    "tencent_live",
    (Room("main", 900, critical=1000), Room("side", 10, critical=1000)),
    interval=40,
    last=-10,
    cadence=True,
)
SOURCES = (LIVE, CHAT, STREAM)
ROOM = {
    "one source dark": "hall-01",
    "one room": "only",
}
"""The room that the Room dashboard is read for; `main` in the other situations."""

AS_HEALTHY = (
    "two exporters that publish the same",
    "three exporters with a source each",
    "one of two exporters killed, the other calls",
)
"""Situations in which panels read what they read when one exporter publishes it all, unless it is said otherwise."""

_LIVE_DARK = replace(LIVE, dark=-300)
_ALL_DARK = (
    _LIVE_DARK,
    replace(
        CHAT, dark=-300, state=SourceState.UNAUTHORIZED, reason=FailureKind.UNAUTHORIZED, code="SignatureDoesNotMatch"
    ),
    replace(STREAM, dark=-300, state=SourceState.MISCONFIGURED, reason=FailureKind.MISCONFIGURED, code="70002"),
)
_ONE_ROOM = Source("alone", "tencent", "tencent_im", (Room("only", 12),))


def exporters() -> dict[str, tuple[Exporter, ...]]:
    """Those of each situation."""
    return {
        "healthy": (_exporter(),),
        "one source dark": (_exporter(_LIVE_DARK, CHAT, STREAM),),
        "all dark": (_exporter(*_ALL_DARK),),
        "exporter restarted": (
            replace(_exporter(), until=-70, gone=True),
            replace(_exporter(), instance="b:9877", pod="b", since=-65),
        ),
        "one room": (_exporter(_ONE_ROOM),),
        "exporter dead": (replace(_exporter(), until=-300),),
        AS_HEALTHY[0]: (
            replace(_exporter(), replicas=2),
            Exporter("b:9877", "b", publishes=SOURCES, calls=(), others=SOURCES, replicas=2),
        ),
        AS_HEALTHY[1]: tuple(
            Exporter(
                f"{name}:9877",
                name,
                (source,),
                (source,),
                tuple(one for one in SOURCES if one is not source),
                replicas=3,
            )
            for name, source in zip("abc", SOURCES, strict=True)
        ),
        AS_HEALTHY[2]: (replace(_exporter(), until=-70), replace(_exporter(), instance="b:9877", pod="b")),
        "two of three shards": (
            Exporter("a:9877", "a", (LIVE,), (LIVE,), shard=(0, 3)),
            Exporter("b:9877", "b", (CHAT,), (CHAT,), shard=(2, 3)),
        ),
    }


def series(moment: float) -> Iterator[Series]:
    """All that Prometheus has of all situations at a moment, for a quarter of an hour."""
    for job, several in exporters().items():
        for exporter in several:
            yield from exporter.series(job, moment)
    yield from alert("RtcWatchdog", "none", {}, moment, since=-900)
    for job in ("healthy", "one source dark", "exporter restarted", *AS_HEALTHY):
        for number, room in enumerate(LIVE.rooms[:27]):
            labels = {"job": job, **LIVE.labels, "room": room.id}
            yield from alert("RtcRoomAboveThreshold", "critical" if number < 24 else "warning", labels, moment)
    for job, sources in {"one source dark": (LIVE,), "all dark": SOURCES}.items():
        for source in sources:
            yield from alert("RtcSourceDown", "critical", {"job": job, **source.labels}, moment, since=-240)
    yield from alert("RtcExporterDown", "critical", {"job": "exporter dead"}, moment, since=-240)


def _exporter(*sources: Source) -> Exporter:
    return Exporter("a:9877", "a", publishes=sources or SOURCES, calls=sources or SOURCES)
