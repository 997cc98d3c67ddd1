"""
What exporters publish, scrape by scrape, in the situations in which the dashboards are read.

Times are seconds before the moment at which they are read, and so negative. What happens, happens before `STEADY`:
rules that are evaluated from then on record the same values at whatever moment they are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exporter.metrics import catalogue as metrics
from exporter.metrics.catalogue import CATALOGUE, Metric
from exporter.metrics.cluster_stats import Exchanged, Gained, Lost
from exporter.metrics.source_stats import INTERVAL_BOUNDS
from exporter.metrics.table import SIZES
from exporter.model import FailureKind
from exporter.states import RoomState, SourceState
from tests.grafana.remote_write import Series

SCRAPES = range(-900, 1, 10)
STEADY = -50.0
EVENT = -60.0
"""When rooms change. Rules that look back for two minutes still see what was before."""
DAY = 86_400.0

Sample = tuple[Metric, dict[str, str], float]
"""A metric, its labels beside those of the target, and its value; histograms have `le` or `part`."""


@dataclass(frozen=True, slots=True)
class Room:
    """
    One room.

    Args:
        users: As the vendor counts them.
        later: The same from `EVENT` on.
        closed: From then on the vendor says that it does not exist.
    """

    id: str
    users: int
    later: int | None = None
    closed: bool = False
    warning: int | None = None
    critical: int | None = None

    def users_at(self, time: float) -> int:
        """How many users it holds."""
        return self.users if self.later is None or time < EVENT else self.later

    def user_seconds(self, time: float) -> float:
        """The integral of its users over the day before the moment, until then."""
        later = self.users if self.later is None else self.later
        return self.users * (min(time, EVENT) + DAY) + later * max(0.0, time - EVENT)

    def exists_at(self, time: float) -> bool:
        """Whether the vendor says that it exists."""
        return not self.closed or time < EVENT


@dataclass(frozen=True, slots=True)
class Source:
    """
    One source and its rooms.

    Args:
        interval: Seconds.
        last: When the last reading came, if all is well; those before it came an interval apart.
        calls: Calls a second, if all is well.
        dark: From when on its calls fail, one a minute, and the source is in `state`.
        cadence: Whether its rooms have intervals of their own, up to `interval`; here they all have that.
        finds: Whether its rooms find themselves: by http_sd every 10 s, the vendor's list every 30 s, and callbacks.
    """

    name: str
    vendor: str
    api: str
    rooms: tuple[Room, ...]
    interval: float = 10
    last: float = -4
    calls: float = 0.1
    dark: float = math.inf
    state: SourceState = SourceState.CIRCUIT_OPEN
    reason: FailureKind = FailureKind.TRANSIENT
    code: str = "timeout"
    finds: bool = False
    cadence: bool = False

    @property
    def labels(self) -> dict[str, str]:
        """Of all its series."""
        return {"vendor": self.vendor, "api": self.api, "source": self.name}

    def reading(self, time: float, since: float) -> float | None:
        """When the last reading came that a process has which started then; its first came after three seconds."""
        latest, first = min(time, self.dark), since + 3
        found = max(first, self.last - math.ceil((self.last - latest) / self.interval) * self.interval)
        return found if found <= latest else None


@dataclass(frozen=True, slots=True)
class Exporter:
    """
    One process.

    Args:
        publishes: Sources whose rooms and state it tells.
        calls: Sources whose calls it makes; the calls of the others it counts as none.
        since: When it started.
        until: When it was scraped for the last time. Prometheus goes on trying, unless the target is `gone`.
        replicas: How many share the budgets in a cluster; 0 without one.
        shard: Its ordinal, and the number of shards; ``None`` without shards.
    """

    instance: str
    pod: str
    publishes: tuple[Source, ...]
    calls: tuple[Source, ...]
    others: tuple[Source, ...] = ()
    since: float = -DAY
    until: float = 0
    gone: bool = False
    config_read: bool = True
    replicas: int = 0
    shard: tuple[int, int] | None = None

    def series(self, job: str, moment: float) -> Iterator[Series]:
        """All that Prometheus has of it."""
        found: dict[tuple[tuple[str, str], ...], dict[float, float]] = defaultdict(dict)
        target = {"job": job, "instance": self.instance, "pod": self.pod}
        for time in SCRAPES:
            if self.since < time <= self.until:
                for metric, labels, value in self._scrape(time, moment):
                    found[_key(metric, target | labels)][time] = value
            if self.since < time and not (self.gone and time > self.until):
                found[("__name__", "up"), *target.items()][time] = time <= self.until
        for key, values in found.items():
            yield Series(dict(key), [(moment + time, values.get(time)) for time in SCRAPES])

    def _scrape(self, time: float, moment: float) -> Iterator[Sample]:
        for source in self.publishes:
            yield from self._source(source, time, moment)
        for source in (*self.calls, *self.others):
            yield from self._calls(source, time, busy=source in self.calls)
        if self.replicas:
            yield from self._cluster(time, moment)
        yield metrics.BUILD_INFO, {"version": "1.0", "python": "3.11"}, 1
        if self.shard is not None:
            yield metrics.TOTAL_SHARDS, {"shard": str(self.shard[0])}, self.shard[1]
        yield metrics.CONFIG_RELOAD, {}, self.config_read
        yield metrics.CONFIG_RELOAD_TIMESTAMP, {}, moment + max(self.since, -7200)
        yield metrics.ROOMS_FILE_RELOAD, {"file": "halls.txt"}, 1
        yield metrics.WEB_CONFIG_RELOAD, {}, 1
        yield metrics.MISSED_RUNS, {}, 0
        yield metrics.UNEXPECTED_ERRORS, {}, 0
        yield metrics.DROPPED_LOG_LINES, {}, 0
        yield metrics.SCRAPE_SIZE, {}, 65_536
        yield from _histogram(metrics.SCRAPE_DURATION, {}, 0.1 * (time - self.since))

    def _cluster(self, time: float, moment: float) -> Iterator[Sample]:
        """A lease of 5 s; who calls hands budgets to others and gets as many back."""
        yield metrics.CLUSTER_INFO, {"replica": self.pod, "engine": "redis", "config": "5f3a91c2"}, 1
        yield metrics.CLUSTER_CONNECTED, {}, 1
        yield metrics.CLUSTER_REPLICAS, {}, self.replicas
        if self.calls:
            yield metrics.CLUSTER_LEASE_VALID_UNTIL, {}, moment + time + 3.5
        seconds = time - max(self.since, -DAY)
        for result in Exchanged:
            pace = {Exchanged.ANSWERED: 2.0, Exchanged.TIMEOUT: 0.1}.get(result, 0.0)
            yield metrics.CLUSTER_EXCHANGES, {"result": result}, pace * seconds
        yield from _histogram(metrics.CLUSTER_EXCHANGE_DURATION, {}, 2 * seconds)
        moved = 0.05 * seconds * bool(self.calls)
        for gained in Gained:
            yield metrics.CLUSTER_BUDGETS_GAINED, {"how": gained}, moved * (gained is Gained.RELEASED)
        for lost in Lost:
            yield metrics.CLUSTER_BUDGETS_LOST, {"how": lost}, moved * (lost is Lost.RELEASED)
        yield metrics.CLUSTER_FENCED_CALLS, {}, 0
        for source in self.publishes:
            inherited = 0 if source in self.calls else 0.1 * len(source.rooms) * seconds
            yield metrics.SOURCE_INHERITED_READINGS, source.labels, inherited

    def _source(self, source: Source, time: float, moment: float) -> Iterator[Sample]:
        read = source.reading(time, self.since)
        dark = time >= source.dark
        held = read is not None and time - read <= max(30, 3 * source.interval)
        state = source.state if time >= source.dark + 10 else SourceState.OK
        up = state is SourceState.OK and read is not None and time - read <= 2 * source.interval
        rooms = [_state(room, time, known=held, dark=dark) for room in source.rooms]

        yield metrics.SOURCE_UP, source.labels, up
        yield metrics.SOURCE_INTERVAL, source.labels, source.interval
        yield from _intervals(source)
        yield metrics.SOURCE_CLOCK_SKEW, source.labels, 0.2
        for each in SourceState:
            yield metrics.SOURCE_STATE, source.labels | {"state": each}, each is state
        for each_state in RoomState:
            yield metrics.SOURCE_ROOMS, source.labels | {"state": each_state}, rooms.count(each_state)
        if read is not None:
            yield metrics.SOURCE_LAST_SUCCESS, source.labels, moment + read
            if time < source.dark + 120 and read - source.interval > self.since:
                yield metrics.SOURCE_ACHIEVED_INTERVAL, source.labels, source.interval
        if dark:
            why = {"reason": source.reason, "code": source.code, "meaning": f"what {source.vendor} means by it"}
            yield metrics.SOURCE_LAST_FAILURE, source.labels | why, 1
        if held and read is not None:
            yield metrics.SOURCE_OLDEST_READING, source.labels, moment + read
            yield from _sums(source, read)
        yield from _counted(source, time)
        for room in source.rooms:
            yield from _room(source, room, moment, read if held else None)
        if source.finds:
            yield from _found(source, time, moment)

    def _calls(self, source: Source, time: float, *, busy: bool) -> Iterator[Sample]:
        well = busy * source.calls * (min(time, source.dark) - max(self.since, -DAY))
        failed = busy * max(0.0, (time - source.dark) // 60 + 1) if time >= source.dark else 0
        yield metrics.SOURCE_CALLS, source.labels, well + failed
        yield metrics.SOURCE_UNREQUESTED_ROOMS, source.labels, 0
        for reason in FailureKind:
            yield metrics.SOURCE_FAILED_CALLS, source.labels | {"reason": reason}, failed * (reason is source.reason)
        yield from _histogram(metrics.SOURCE_CALL_DURATION, source.labels, well + failed)
        if source.finds:
            yield from _finding(source, time - max(self.since, -DAY) if busy else 0, max(0.0, time - source.dark))
        budget = {"budget": source.api}
        yield metrics.BUDGET_CALLS, budget, well + failed
        yield metrics.BUDGET_LIMIT, budget, 10
        yield metrics.BUDGET_PACE, budget, 10
        yield metrics.BUDGET_HELD, budget, busy


def alert(name: str, severity: str, labels: dict[str, str], moment: float, since: float = -300) -> Iterator[Series]:
    """What Prometheus has of an alert that fires."""
    alert = {"alertname": name, "severity": severity, **labels}
    times = [moment + time for time in SCRAPES if time >= since]
    yield Series({"__name__": "ALERTS", "alertstate": "firing", **alert}, [(time, 1) for time in times])
    yield Series({"__name__": "ALERTS_FOR_STATE", **alert}, [(time, moment + since - 60) for time in times])


def _room(source: Source, room: Room, moment: float, read: float | None) -> Iterator[Sample]:
    labels = source.labels | {"room": room.id}
    yield metrics.ROOM_INFO, labels | {"event": "launch"}, 1
    for severity, threshold in {"warning": room.warning, "critical": room.critical}.items():
        if threshold is not None:
            yield metrics.ROOM_USERS_THRESHOLD, labels | {"severity": severity}, threshold
    if read is None:
        return
    yield metrics.ROOM_USERS, labels, room.users_at(read)
    yield metrics.ROOM_USER_SECONDS, labels, room.user_seconds(read)
    yield metrics.ROOM_READING_TIMESTAMP, labels, moment + read
    if source.api == "zego_rtc":
        yield metrics.ROOM_ADMIN_USERS, labels, 2
    else:
        yield metrics.ROOM_EXISTS, labels, room.exists_at(read)
    if source.api == "volcengine_rtc":
        yield metrics.ROOM_INVISIBLE_USERS, labels, 3


def _sums(source: Source, read: float) -> Iterator[Sample]:
    """What is told of all rooms together, as they were read."""
    users = [room.users_at(read) for room in source.rooms]
    yield metrics.SOURCE_USERS, source.labels, sum(users)
    yield metrics.SOURCE_USER_SECONDS, source.labels, sum(room.user_seconds(read) for room in source.rooms)
    for bound in (*SIZES, math.inf):
        size = source.labels | {"le": "+Inf" if bound == math.inf else str(bound)}
        yield metrics.SOURCE_ROOM_SIZES, size, sum(held <= bound for held in users)


def _counted(source: Source, time: float) -> Iterator[Sample]:
    """How many rooms have thresholds and series; one room of a source that finds its rooms has no series."""
    for severity in ("warning", "critical"):
        having = sum(getattr(room, severity) is not None for room in source.rooms)
        yield metrics.SOURCE_ROOMS_WITH_THRESHOLD, source.labels | {"severity": severity}, having
    yield metrics.SOURCE_PUBLISHED_ROOMS, source.labels, len(source.rooms) - source.finds
    if source.finds:
        for change in ("began", "ceased"):
            yield metrics.SOURCE_PUBLISHED_CHANGES, source.labels | {"change": change}, 0.05 * (time + DAY)


def _found(source: Source, time: float, moment: float) -> Iterator[Sample]:
    """What every exporter that publishes the source tells of its discovery."""
    listed = min(time - time % 30, source.dark)
    for origin, count in {"http_sd": 24, "vendor_list": len(source.rooms), "callbacks": 3}.items():
        yield metrics.DISCOVERY_ROOMS, source.labels | {"origin": origin}, count
    for state, count in {"candidate": 2, "active": len(source.rooms), "leaving": 1}.items():
        yield metrics.DISCOVERY_STATE_ROOMS, source.labels | {"state": state}, count
    for origin, (read, interval) in {"http_sd": (time - 5, 10), "vendor_list": (listed, 30)}.items():
        yield metrics.DISCOVERY_LAST_SUCCESS, source.labels | {"origin": origin}, moment + read
        yield metrics.DISCOVERY_INTERVAL, source.labels | {"origin": origin}, interval
    yield metrics.DISCOVERY_LAST_COMPLETE, source.labels, moment + listed
    yield metrics.DISCOVERY_LIMIT, source.labels, len(source.rooms) + 3
    yield metrics.CALLBACK_LAST_EVENT, source.labels, moment + time - 2


def _finding(source: Source, seconds: float, dark: float) -> Iterator[Sample]:
    """What the one exporter counts that asks for the lists; the vendor's fails while the source is dark."""
    for origin, pace in {"http_sd": 0.1, "callbacks": 0.05}.items():
        yield metrics.DISCOVERY_ADDED, source.labels | {"origin": origin}, pace * seconds
    yield metrics.DISCOVERY_DROPPED, source.labels | {"reason": "missing"}, 0.15 * seconds
    yield metrics.DISCOVERY_REJECTED, source.labels | {"reason": "max_rooms"}, 0.2 * seconds
    refreshes = {
        ("http_sd", "complete"): 0.1 * seconds,
        ("vendor_list", "complete"): (seconds - dark) / 30,
        ("vendor_list", "failed"): dark / 30,
    }
    for (origin, result), count in refreshes.items():
        yield metrics.DISCOVERY_REFRESHES, source.labels | {"origin": origin, "result": result}, count
    yield from _histogram(metrics.DISCOVERY_REFRESH_DURATION, source.labels | {"origin": "http_sd"}, 0.1 * seconds)
    yield from _histogram(metrics.ROOM_LIFETIME, source.labels, 0.15 * seconds)
    for result, pace in {"accepted": 0.3, "bad_signature": 0.1}.items():
        yield metrics.CALLBACK_REQUESTS, source.labels | {"result": result}, pace * seconds
    yield from _histogram(metrics.CALLBACK_DELAY, source.labels, 0.3 * seconds)


def _state(room: Room, time: float, *, known: bool, dark: bool) -> RoomState:
    if not known:
        return RoomState.UNKNOWN
    if not room.exists_at(time):
        return RoomState.MISSING
    return RoomState.HELD if dark else RoomState.FRESH


def _intervals(source: Source) -> Iterator[Sample]:
    for bound in INTERVAL_BOUNDS if source.cadence else ():
        le = "+Inf" if bound == math.inf else f"{bound:g}"
        rooms = len(source.rooms) if bound >= source.interval else 0
        yield metrics.SOURCE_ROOMS_BY_INTERVAL, source.labels | {"le": le}, rooms
    if source.cadence:
        yield metrics.SOURCE_LONGEST_INTERVAL, source.labels, source.interval


def _histogram(metric: Metric, labels: dict[str, str], count: float) -> Iterator[Sample]:
    """Half of the observations below 100 ms, nine in ten below 200 ms, all below 500 ms."""
    for bound, share in {"0.1": 0.5, "0.2": 0.9, "0.5": 1, "+Inf": 1}.items():
        yield metric, labels | {"le": bound}, share * count


def _key(metric: Metric, labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """A series' name and labels, which must be those of the catalogue."""
    own = {"event"} if metric is metrics.ROOM_INFO else {"le"} if metric.type == "histogram" else set()
    assert metric in CATALOGUE
    assert {"job", "instance", "pod", *metric.labels} == set(labels) - own, metric.name
    name = f"{metric.name}_bucket" if metric.type == "histogram" else metric.name
    return ("__name__", name), *labels.items()


def many(prefix: str, count: int, users: int, warning: int, critical: int) -> Iterable[Room]:
    """Numbered rooms, each with one user fewer than the one before."""
    return (
        Room(f"{prefix}-{number:02}", max(0, users - number), warning=warning, critical=critical)
        for number in range(1, count + 1)
    )
