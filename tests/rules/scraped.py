"""
What a Prometheus gathers from exporters in a made-up course of events, as input for promtool's unit tests.

A test says which targets there are at each moment and what they publish; this module does as Prometheus does when it
scrapes them: a series that is not there any more, or whose target does not answer, is marked as stale.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.states import RoomState, SourceState
from tests.rules.promql import RULES

JOB: Final = "rtc-room-exporter"
SCRAPES: Final = 10
"""Seconds between two scrapes of a target."""

EVALUATIONS: Final = 15
"""Seconds between two evaluations of the rules."""

Labels = Mapping[str, str]
Samples = dict[str, float]


@dataclass(frozen=True, slots=True)
class Room:
    """
    A watched room. ``users`` of ``None``: nothing is known of it. ``exists`` of ``None``: the vendor does not tell.
    """

    users: int | None = 0
    exists: bool | None = True
    thresholds: Mapping[str, int] = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Discovery:
    """
    How the rooms of a source find themselves: a list that is read every ten seconds, and callbacks.

    Args:
        named: Rooms on the list.
        listed_at: When the list was last read, in seconds of the test; ``None``: just now; infinity: never.
        heard_at: The same of the last callback.
        rejected: Ids a second that are one too many.
        forged: Callbacks a second with a bad signature.
    """

    named: int = 40
    listed_at: float | None = None
    heard_at: float | None = None
    rejected: float = 0.0
    forged: float = 0.0


@dataclass(frozen=True, slots=True)
class Source:
    """
    A source. ``crowd`` counts fresh rooms that only its sums tell of, ``dark`` unknown ones.
    """

    rooms: Mapping[str, Room] = field(default_factory=dict)
    api: str = "tencent_im"
    state: SourceState = SourceState.OK
    up: bool = True
    crowd: int = 0
    dark: int = 0
    achieved: float | None = 10.0
    skew: float = 0.0
    failure: tuple[str, str, str] | None = None
    last_success: float | None = None
    discovery: Discovery | None = None


@dataclass(frozen=True, slots=True)
class Replica:
    """
    What an exporter tells as one of a cluster.
    """

    connected: bool = True
    config: str = "5f3a91c2"


@dataclass(frozen=True, slots=True)
class Exporter:
    """
    What one exporter publishes. ``started`` is when its process began, in seconds of the test. ``held``: whether it may
    make the budget's calls. ``shard`` is its ordinal, and how many there are.
    ``replica``: ``None`` without a cluster.
    """

    sources: Mapping[str, Source] = field(default_factory=dict)
    started: float = -3600.0
    config_ok: bool = True
    web_config_ok: bool = True
    files: Mapping[str, bool] = field(default_factory=dict)
    errors: int = 0
    size: int = 1_000_000
    pace: float = 10.0
    budget: str = "im"
    held: bool = True
    shard: tuple[int, int] | None = None
    replica: Replica | None = None


DOWN: Final = None
"""A target that does not answer."""

Targets = Mapping[str, Exporter | None]
"""What each target of the job answers, by instance; of a target that is gone from the list there is no entry."""

Course = Callable[[float], Targets]
"""The targets at each second of a test."""


def with_rooms(exporter: Exporter, name: str, **rooms: Room) -> Exporter:
    """The exporter with other rooms in one of its sources."""
    source = exporter.sources[name]
    return replace(exporter, sources={**exporter.sources, name: replace(source, rooms={**source.rooms, **rooms})})


def with_source(exporter: Exporter, name: str, **changes: Any) -> Exporter:
    """The exporter with one source changed."""
    return replace(exporter, sources={**exporter.sources, name: replace(exporter.sources[name], **changes)})


def input_series(course: Course, until: float, scrapes: float = SCRAPES) -> list[dict[str, str]]:
    """All series that Prometheus has of this course, in promtool's notation."""
    moments = [scrapes * number for number in range(int(until // scrapes) + 1)]
    scraped = [_scrape(course(moment), moment) for moment in moments]
    names = dict.fromkeys(name for samples in scraped for name in samples)
    return [{"series": name, "values": _values([samples.get(name) for samples in scraped])} for name in names]


def _values(values: Sequence[float | None]) -> str:
    """The numbers of one series as promtool reads them; where it ends there is a stale marker first."""
    words: list[str] = []
    there = False
    for value, run in groupby(values):
        count = len(list(run))
        if value is not None:
            words.append(_repeated(value, count))
        elif there:
            words += ["stale", *([f"_x{count - 1}"] if count > 1 else [])]
        else:
            words.append(f"_x{count}")
        there = value is not None
    return " ".join(words)


def _repeated(value: float, count: int) -> str:
    number = repr(float(value)).removesuffix(".0")
    return number if count == 1 else f"{number}x{count - 1}"


def _scrape(targets: Targets, now: float) -> Samples:
    samples: Samples = {}
    for instance, exporter in targets.items():
        target = {"job": JOB, "instance": instance, "pod": f"pod-{instance}"}
        samples[series("up", target)] = float(exporter is not None)
        if exporter is not None:
            samples |= _published(exporter, target, now)
    return samples


def _published(exporter: Exporter, target: Labels, now: float) -> Samples:
    samples = {
        series("process_start_time_seconds", target): exporter.started,
        series("rtc_exporter_build_info", target, version="1"): 1.0,
        series("rtc_exporter_config_last_reload_successful", target): float(exporter.config_ok),
        series("rtc_exporter_web_config_last_reload_successful", target): float(exporter.web_config_ok),
        series("rtc_exporter_config_last_reload_success_timestamp_seconds", target): exporter.started,
        series("rtc_exporter_unexpected_errors_total", target): float(exporter.errors),
        series("rtc_budget_limit_calls_per_second", target, budget=exporter.budget): 10.0,
        series("rtc_budget_pace_calls_per_second", target, budget=exporter.budget): exporter.pace,
        series("rtc_budget_held", target, budget=exporter.budget): float(exporter.held),
    }
    if exporter.shard is not None:
        ordinal, total = exporter.shard
        samples[series("rtc_exporter_total_shards", target, shard=str(ordinal))] = float(total)
    if exporter.replica is not None:
        info = {"replica": target["instance"], "engine": "redis", "config": exporter.replica.config}
        samples[series("rtc_cluster_info", target, **info)] = 1.0
        samples[series("rtc_cluster_connected", target)] = float(exporter.replica.connected)
    if now > exporter.started:  # the first scrape cannot tell the size of the one before
        samples[series("rtc_exporter_scrape_size_bytes", target)] = float(exporter.size)
    for file, ok in exporter.files.items():
        samples[series("rtc_rooms_file_last_reload_successful", target, file=file)] = float(ok)
    for name, source in exporter.sources.items():
        samples |= _of_source(
            source,
            {**target, "vendor": source.api.partition("_")[0], "api": source.api, "source": name},
            now,
            exporter.started,
        )
    return samples


def _of_source(source: Source, labels: Labels, now: float, started: float) -> Samples:
    known = [room for room in source.rooms.values() if room.users is not None]
    rooms = {
        RoomState.FRESH: len([room for room in known if room.exists is not False]) + source.crowd,
        RoomState.MISSING: len([room for room in known if room.exists is False]),
        RoomState.UNKNOWN: len(source.rooms) - len(known) + source.dark,
    }
    samples = {
        series("rtc_source_up", labels): float(source.up),
        series("rtc_source_interval_seconds", labels): 10.0,
        series("rtc_source_clock_skew_seconds", labels): source.skew,
        **{series("rtc_source_state", labels, state=state): float(state is source.state) for state in SourceState},
        **{series("rtc_source_rooms", labels, state=state): float(rooms.get(state, 0)) for state in RoomState},
    }
    if known:
        samples[series("rtc_source_users", labels)] = float(sum(room.users or 0 for room in known))
    if source.achieved is not None:
        samples[series("rtc_source_achieved_interval_seconds", labels)] = source.achieved
    if source.failure is not None:
        reason, code, meaning = source.failure
        samples[series("rtc_source_last_failure_info", labels, reason=reason, code=code, meaning=meaning)] = 1.0
    if source.last_success is not None or source.up:
        at = now if source.up else source.last_success
        samples[series("rtc_source_last_success_timestamp_seconds", labels)] = float(at or 0.0)
    for name, room in source.rooms.items():
        samples |= _of_room(room, {**labels, "room": name}, now)
    if source.discovery is not None:
        samples |= _of_discovery(source.discovery, labels, now, started)
    return samples


def _of_discovery(discovery: Discovery, labels: Labels, now: float, started: float) -> Samples:
    """A room opens every ten seconds, and closes again; the list is read in the process' first second."""
    uptime, listed = now - started, {**labels, "origin": "vendor_list"}
    opened = uptime // 10
    samples = {
        series("rtc_discovery_rooms", listed): float(discovery.named),
        series("rtc_discovery_rooms", labels, origin="callbacks"): 0.0,
        series("rtc_discovery_state_rooms", labels, state="active"): float(discovery.named),
        series("rtc_discovery_state_rooms", labels, state="candidate"): 0.0,
        series("rtc_discovery_rooms_limit", labels): 40.0,
        series("rtc_discovery_interval_seconds", listed): 10.0,
        series("rtc_discovery_refreshes_total", listed, result="complete"): uptime // 10,
        series("rtc_discovery_rooms_added_total", listed): discovery.named + opened,
        series("rtc_discovery_rooms_rejected_total", labels, reason="max_rooms"): discovery.rejected * uptime,
        series("rtc_callback_requests_total", labels, result="accepted"): 2.0 * opened,
        series("rtc_callback_requests_total", labels, result="bad_signature"): discovery.forged * uptime,
    }
    times = {
        series("rtc_discovery_last_success_timestamp_seconds", listed): discovery.listed_at,
        series("rtc_callback_last_event_timestamp_seconds", labels): discovery.heard_at,
    }
    return samples | {name: now if at is None else at for name, at in times.items() if at != math.inf}


def _of_room(room: Room, labels: Labels, now: float) -> Samples:
    samples = {series("rtc_room_info", labels, **room.labels): 1.0}
    for severity, users in room.thresholds.items():
        samples[series("rtc_room_users_threshold", labels, severity=severity)] = float(users)
    if room.users is not None:
        samples[series("rtc_room_users", labels)] = float(room.users)
        samples[series("rtc_room_reading_timestamp_seconds", labels)] = now
        if room.exists is not None:
            samples[series("rtc_room_exists", labels)] = float(room.exists)
    return samples


def series(name: str, labels: Labels, **more: str) -> str:
    """A series as PromQL writes it."""
    pairs = ",".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in {**labels, **more}.items())
    return f"{name}{{{pairs}}}"


def phases(*begun: tuple[float, Targets]) -> Course:
    """A course in which the targets change at these seconds, and stay as they are between."""

    def course(now: float) -> Targets:
        return next(targets for since, targets in reversed(begun) if since <= now)

    return course


@dataclass(frozen=True, slots=True)
class Firing:
    """
    Whether an alert fires, from one second to another, both included: once and with these labels, or not at all.
    """

    since: float
    until: float
    labels: Labels | None


def complaints(
    folder: Path,
    course: Course,
    alert: str,
    expected: Sequence[Firing],
    scrapes: float = SCRAPES,
    evaluations: float = EVALUATIONS,
) -> str:
    """
    What promtool says where our rules do something else than is expected of one alert in this course. The other alerts
    are left out, which takes less time.
    """
    checks = [
        {
            "expr": f'ALERTS{{alertname="{alert}",alertstate="firing"}}',
            "eval_time": f"{moment:.0f}s",
            "exp_samples": []
            if part.labels is None
            else [
                {"labels": series("ALERTS", {"alertname": alert, "alertstate": "firing"}, **part.labels), "value": 1}
            ],
        }
        for part in expected
        for moment in _evaluated(part, evaluations)
    ]
    until = max(part.until for part in expected)
    test = {
        "interval": f"{scrapes:.0f}s",
        "input_series": input_series(course, until + scrapes, scrapes),
        "promql_expr_test": checks,
    }
    given = yaml.safe_load((RULES / "alerts.yml").read_text(encoding="utf-8"))
    for group in given["groups"]:
        group["rules"] = [rule for rule in group["rules"] if rule.get("alert", alert) == alert]
    (folder / "rules.yml").write_text(json.dumps(given), encoding="utf-8")
    file = folder / "course.yml"
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{evaluations:.0f}s",
        "group_eval_order": [group["name"] for group in given["groups"]],  # else any, and another each time
        "tests": [test],
    }
    file.write_text(json.dumps(document), encoding="utf-8")
    ended = subprocess.run(["promtool", "test", "rules", file], check=False, capture_output=True, text=True)
    return ended.stderr


def _evaluated(part: Firing, evaluations: float) -> list[float]:
    first = -(-part.since // evaluations) * evaluations
    return [first + evaluations * number for number in range(int((part.until - first) // evaluations) + 1)]
