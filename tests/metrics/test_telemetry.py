"""
The exporter's own metrics: all of them there, none too many, and true.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics.catalogue import CATALOGUE, ROOM_METRICS
from exporter.metrics.cluster_stats import ClusterFigures, ClusterStats, Exchanged, Gained, Lost
from exporter.metrics.discovery_stats import CallbackFigures, DiscoveryFigures
from exporter.metrics.durations import Durations
from exporter.metrics.exposition import Exposition
from exporter.metrics.room import Arrival
from exporter.metrics.selection import Arrangement
from exporter.metrics.source_stats import FailureNote, SourceStats
from exporter.metrics.table import SourceTable, Table
from exporter.metrics.telemetry import Telemetry
from exporter.model import Failure, FailureKind, Family, Publish, Reading, Room, Shard
from exporter.polling.importance import Importance
from exporter.states import SourceState

EPOCH = 1_700_000_000.0
PUBLISHED = """
rtc_room_users gauge
rtc_room_admin_users gauge
rtc_room_invisible_users gauge
rtc_room_exists gauge
rtc_room_reading_timestamp_seconds gauge
rtc_room_info gauge
rtc_room_users_threshold gauge severity
rtc_room_user_seconds_total counter
rtc_source_up gauge
rtc_source_state gauge state
rtc_source_rooms gauge state
rtc_source_users gauge
rtc_source_user_seconds_total counter
rtc_source_room_sizes gauge le
rtc_source_rooms_with_threshold gauge severity
rtc_source_published_rooms gauge
rtc_source_published_rooms_changes_total counter change
rtc_source_interval_seconds gauge
rtc_source_longest_interval_seconds gauge
rtc_source_rooms_by_interval gauge le
rtc_source_achieved_interval_seconds gauge
rtc_source_oldest_reading_timestamp_seconds gauge
rtc_source_last_success_timestamp_seconds gauge
rtc_source_clock_skew_seconds gauge
rtc_source_calls_total counter
rtc_source_failed_calls_total counter reason
rtc_source_last_failure_info gauge reason code meaning
rtc_source_unrequested_rooms_total counter
rtc_source_call_duration_seconds histogram
rtc_budget_limit_calls_per_second gauge budget
rtc_budget_pace_calls_per_second gauge budget
rtc_budget_calls_total counter budget
rtc_budget_held gauge budget
rtc_rooms_file_last_reload_successful gauge file
rtc_exporter_build_info gauge version python
rtc_exporter_total_shards gauge shard
rtc_exporter_config_last_reload_successful gauge
rtc_exporter_config_last_reload_success_timestamp_seconds gauge
rtc_exporter_web_config_last_reload_successful gauge
rtc_exporter_scheduler_missed_runs_total counter
rtc_exporter_unexpected_errors_total counter
rtc_exporter_dropped_log_lines_total counter
rtc_exporter_scrape_duration_seconds histogram
rtc_exporter_scrape_size_bytes gauge
"""

OF_DISCOVERY = """
rtc_discovery_rooms gauge origin
rtc_discovery_state_rooms gauge state
rtc_discovery_last_success_timestamp_seconds gauge origin
rtc_discovery_interval_seconds gauge origin
rtc_discovery_last_complete_timestamp_seconds gauge
rtc_discovery_refreshes_total counter origin result
rtc_discovery_refresh_duration_seconds histogram origin
rtc_discovery_rooms_added_total counter origin
rtc_discovery_rooms_dropped_total counter reason
rtc_discovery_rooms_rejected_total counter reason
rtc_discovery_rooms_limit gauge
rtc_room_lifetime_seconds histogram
rtc_callback_requests_total counter result
rtc_callback_last_event_timestamp_seconds gauge
rtc_callback_delay_seconds histogram
rtc_source_inherited_readings_total counter
"""

OF_CLUSTER = """
rtc_cluster_info gauge replica engine config
rtc_cluster_connected gauge
rtc_cluster_replicas gauge
rtc_cluster_lease_valid_until_timestamp_seconds gauge
rtc_cluster_exchanges_total counter result
rtc_cluster_exchange_duration_seconds histogram
rtc_cluster_budgets_gained_total counter how
rtc_cluster_budgets_lost_total counter how
rtc_cluster_fenced_calls_total counter
"""


class Figures:
    """A budget as telemetry sees it."""

    limit = 10.0
    pace = 5.0
    calls = 42


class Clock:
    """A vendor's clock as telemetry sees it."""

    skew: float | None = None
    shift = 0.0


def discovered() -> DiscoveryFigures:
    """What is known of a source whose rooms find themselves."""
    durations = Durations(1.0).figures()
    return DiscoveryFigures(
        labels=("zego", "zego_rtc", "live"),
        rooms={"http_sd": 1},
        lives={"active": 1},
        last_success={"http_sd": EPOCH},
        intervals={"http_sd": 10.0},
        last_complete=EPOCH,
        refreshes={("http_sd", "complete"): 1},
        durations={"http_sd": durations},
        added={"http_sd": 1},
        dropped={"missing": 1},
        rejected={"rate": 1},
        rejected_at={"rate": EPOCH},
        limit=100,
        lifetimes=durations,
    )


def shared() -> ClusterFigures:
    """What a replica knows of its cluster."""
    stats = ClusterStats()
    stats.exchanged(Exchanged.ANSWERED, 0.002)
    stats.exchanged(Exchanged.TIMEOUT, 0.3)
    stats.gained[Gained.EXPIRED] += 1
    stats.lost[Lost.TAKEN] += 2
    stats.fenced_calls = 3
    return stats.figures(
        replica="exporter-0",
        engine="redis",
        config="0123abcd",
        connected=True,
        replicas=2,
        lease_valid_until=EPOCH + 4,
    )


class Observed:
    """One source in a telemetry, all of it known."""

    def __init__(self) -> None:
        self.telemetry = Telemetry()
        self.table = SourceTable({"vendor": "zego", "api": "zego_rtc", "source": "live"}, 30.0)
        self.table.watch([Room(room) for room in "abc"])
        self.clock = Clock()
        self.source = SourceStats("zego", "zego_rtc", "live", "budget", 10.0, self.table, self.clock)
        self.telemetry.sources[self.source.source] = self.source

    def bucket(self, name: str, bound: str) -> float:
        """The number of observations up to a bound."""
        text = generate_latest(self.telemetry.registry).decode()
        (value,) = re.findall(rf'^{name}_bucket{{.*le="{re.escape(bound)}".*}} (\S+)$', text, re.MULTILINE)
        return float(value)

    def samples(self, now: float = 100.0) -> dict[tuple[str, str], float]:
        """What is published, by name and the last of the labels that are the sample's own."""
        self.telemetry.freeze(now)
        text = generate_latest(self.telemetry.registry).decode()
        return {
            (sample.name, sample.labels.get("state") or sample.labels.get("reason") or ""): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


def test_catalogue_is_complete() -> None:
    """
    Names, types and labels are those that dashboards and alerts are built on.
    """
    expected = {}
    for line in PUBLISHED.strip().splitlines():
        name, kind, *own = line.split()
        shared = {"rtc_room": ("vendor", "api", "source", "room"), "rtc_sour": ("vendor", "api", "source")}
        expected[name] = (kind, (*shared.get(name[:8], ()), *own) if name[:10] != "rtc_rooms_" else tuple(own))
    for line in OF_DISCOVERY.strip().splitlines():
        name, kind, *own = line.split()
        expected[name] = (kind, ("vendor", "api", "source", *own))
    for line in OF_CLUSTER.strip().splitlines():
        name, kind, *own = line.split()
        expected[name] = (kind, tuple(own))

    assert expected == {metric.name: (metric.type, metric.labels) for metric in CATALOGUE}


def test_catalogue_reads_well() -> None:
    """
    Each help text is a sentence of its own, and room values say that they are cached.
    """
    helps = [metric.help for metric in CATALOGUE]

    assert len(helps) == len(set(helps))
    assert all(text.endswith(".") and "\n" not in text for text in helps)
    values = [metric for metric in ROOM_METRICS if metric.name.endswith(("users", "exists"))]
    assert all("cached from the last poll" in metric.help for metric in values)


def test_every_metric_of_the_catalogue_is_published() -> None:
    """
    With the type, the help and the labels that the catalogue promises; nothing else of ours is.
    """
    observed = Observed()
    observed.telemetry.budgets["budget"] = Figures()
    observed.telemetry.rooms_files["rooms.yml"] = True
    observed.telemetry.cluster = shared
    for _ in observed.table.arrange(Arrangement(Publish(top=1), tuple(Family))):
        pass
    observed.table.record({"a": Reading(3)}, Arrival(99.0, EPOCH))
    observed.source.succeeded(99.0, EPOCH)
    observed.source.gaps([10.0], 99.0)
    observed.clock.skew = 0.4
    observed.source.own_intervals = Importance(10.0, 120.0)
    observed.source.failed(FailureNote(EPOCH, Failure(FailureKind.TRANSIENT, "timeout", "x"), ("a",)))
    observed.telemetry.config_loaded(EPOCH)
    observed.telemetry.scrape_size = 1
    observed.telemetry.shard = Shard(0, 2)
    observed.telemetry.web_config_ok = True
    observed.telemetry.discoveries["live"] = discovered
    durations = Durations(1.0).figures()
    observed.telemetry.callbacks = lambda: {"live": CallbackFigures({"accepted": 1}, EPOCH, durations)}
    observed.samples()

    families = {
        family.name: family
        for family in text_string_to_metric_families(generate_latest(observed.telemetry.registry).decode())
        if family.name.startswith("rtc_")
    }
    own = {metric.name.removesuffix("_total"): metric for metric in CATALOGUE if metric not in ROOM_METRICS}
    assert own.keys() == families.keys()
    for name, metric in own.items():
        family = families[name]
        assert (metric.type, metric.help) == (family.type, family.documentation)
        assert {frozenset(metric.labels) - {"le"}} == {frozenset(sample.labels) - {"le"} for sample in family.samples}


def test_what_is_not_known_is_absent() -> None:
    """
    A source that has heard nothing yet shows no count, no time and no skew, rather than 0; its counters begin at 0.
    """
    samples = Observed().samples()

    assert not {name for name, _ in samples} & {
        "rtc_source_users",
        "rtc_source_user_seconds_total",
        "rtc_source_published_rooms_changes_total",
        "rtc_source_achieved_interval_seconds",
        "rtc_source_oldest_reading_timestamp_seconds",
        "rtc_source_last_success_timestamp_seconds",
        "rtc_source_clock_skew_seconds",
        "rtc_source_last_failure_info",
        "rtc_exporter_scrape_size_bytes",
    }
    assert 0 == samples["rtc_source_calls_total", ""] == samples["rtc_source_unrequested_rooms_total", ""]
    assert [0] * 6 == [samples["rtc_source_failed_calls_total", kind] for kind in FailureKind]
    assert 0 == samples["rtc_source_call_duration_seconds_count", ""]


def test_without_a_cluster_nothing_is_said_of_one() -> None:
    """
    The only series of a process that shares nothing are those that it had before there were clusters.
    """
    cluster = {name for name, _ in Observed().samples() if "cluster" in name or "inherited" in name}

    assert set() == cluster


def test_numbers_of_a_cluster() -> None:
    """
    Every counter of a cluster has all its label values from the start, so that the first increase is not lost.
    """
    observed = Observed()
    observed.telemetry.cluster = shared
    observed.source.inherited = 5
    observed.telemetry.freeze(100.0)
    text = generate_latest(observed.telemetry.registry).decode()
    found = [line for line in text.splitlines() if re.match(r"rtc_cluster_(?!exchange_dur)|rtc_source_inh", line)]

    assert (
        """\
rtc_cluster_info{config="0123abcd",engine="redis",replica="exporter-0"} 1.0
rtc_cluster_connected 1.0
rtc_cluster_replicas 2.0
rtc_cluster_lease_valid_until_timestamp_seconds 1.700000004e+09
rtc_cluster_exchanges_total{result="answered"} 1.0
rtc_cluster_exchanges_total{result="refused"} 0.0
rtc_cluster_exchanges_total{result="timeout"} 1.0
rtc_cluster_exchanges_total{result="unreachable"} 0.0
rtc_cluster_budgets_gained_total{how="released"} 0.0
rtc_cluster_budgets_gained_total{how="expired"} 1.0
rtc_cluster_budgets_gained_total{how="first"} 0.0
rtc_cluster_budgets_lost_total{how="released"} 0.0
rtc_cluster_budgets_lost_total{how="expired"} 0.0
rtc_cluster_budgets_lost_total{how="taken"} 2.0
rtc_cluster_fenced_calls_total 3.0
rtc_source_inherited_readings_total{api="zego_rtc",source="live",vendor="zego"} 5.0""".splitlines()
        == found
    )


def test_source_with_empty_rooms_has_zero_users() -> None:
    """
    Zero users that the vendor told of are a number like any other.
    """
    observed = Observed()
    observed.table.record({"a": Reading(0)}, Arrival(99.0, EPOCH))

    assert 0 == observed.samples()["rtc_source_users", ""]


@pytest.mark.parametrize(
    ("state", "age", "up"),
    [
        (SourceState.OK, 0.0, 1),
        (SourceState.OK, 20.0, 1),
        (SourceState.OK, 20.1, 0),
        (SourceState.OK, None, 0),
        (SourceState.UNAUTHORIZED, 1.0, 0),
        (SourceState.CIRCUIT_OPEN, 1.0, 0),
        (SourceState.MISCONFIGURED, 1.0, 0),
    ],
)
def test_source_is_up(state: SourceState, age: float | None, up: int) -> None:
    """
    While its state is ok and a call succeeded within the last two intervals.
    """
    observed = Observed()
    observed.source.state = state
    if age is not None:
        observed.source.succeeded(100.0 - age, EPOCH)
    samples = observed.samples()

    assert up == samples["rtc_source_up", ""]
    assert {other: int(other is state) for other in SourceState} == {
        other: samples["rtc_source_state", other] for other in SourceState
    }


def test_numbers_of_a_source() -> None:
    """
    Rooms by state, users, times, the median gap and failures by reason are those that were noted.
    """
    observed = Observed()
    observed.table.record({"a": Reading(3)}, Arrival(90.0, EPOCH))
    observed.table.record({"b": Reading(4)}, Arrival(95.0, EPOCH + 5))
    observed.table.fail("b")
    observed.table.refuse("c")
    observed.source.succeeded(95.0, EPOCH + 5)
    observed.source.calls = 7
    observed.source.unrequested = 2
    observed.clock.skew = -1.5
    observed.source.gaps([9.0, 10.0, 30.0], 95.0)
    failure = Failure(FailureKind.MALFORMED, "x", "x")
    observed.source.failed(FailureNote(EPOCH, failure, ("a",)))

    expected = {
        ("rtc_source_rooms", "fresh"): 1,
        ("rtc_source_rooms", "held"): 1,
        ("rtc_source_rooms", "missing"): 0,
        ("rtc_source_rooms", "unknown"): 0,
        ("rtc_source_rooms", "refused"): 1,
        ("rtc_source_users", ""): 7,
        ("rtc_source_interval_seconds", ""): 10,
        ("rtc_source_achieved_interval_seconds", ""): 10,
        ("rtc_source_oldest_reading_timestamp_seconds", ""): EPOCH,
        ("rtc_source_last_success_timestamp_seconds", ""): EPOCH + 5,
        ("rtc_source_clock_skew_seconds", ""): -1.5,
        ("rtc_source_calls_total", ""): 7,
        ("rtc_source_unrequested_rooms_total", ""): 2,
        ("rtc_source_failed_calls_total", "malformed"): 1,
        ("rtc_source_failed_calls_total", "transient"): 0,
    }
    assert expected.items() <= observed.samples().items()


def test_achieved_interval_of_rooms_that_are_read_too_seldom() -> None:
    """
    It may be longer than readings stay published, and is not known of a source that stopped.
    """
    observed = Observed()
    for moment in (0.0, 95.0, 190.0, 285.0):
        observed.table.expire(moment)
        gaps = observed.table.record(dict.fromkeys("abc", Reading(3)), Arrival(moment, EPOCH + moment))
        observed.source.gaps(gaps, moment)

    assert 95.0 == observed.samples(285.0)["rtc_source_achieved_interval_seconds", ""]
    assert ("rtc_source_achieved_interval_seconds", "") not in observed.samples(405.0)


def test_config_is_loaded_refused_and_loaded_again() -> None:
    """
    Nothing is said before the first config is read; a refused one leaves the time of the last good one.
    """
    observed = Observed()
    names = "rtc_exporter_config_last_reload_successful", "rtc_exporter_config_last_reload_success_timestamp_seconds"

    def shown() -> tuple[float | None, float | None, bool]:
        successful, timestamp = (observed.samples().get((name, "")) for name in names)
        return successful, timestamp, observed.telemetry.config_kept

    seen = [shown()]
    observed.telemetry.config_loaded(EPOCH)
    seen.append(shown())
    observed.telemetry.config_refused()
    seen.append(shown())
    observed.telemetry.config_loaded(EPOCH + 9)
    seen.append(shown())

    assert [(None, None, False), (1, EPOCH, False), (0, EPOCH, True), (1, EPOCH + 9, False)] == seen


def test_numbers_are_those_of_the_moment_that_was_frozen() -> None:
    """
    A collection that comes late tells what was known when its snapshot was taken.
    """
    observed = Observed()
    observed.table.record({"a": Reading(3)}, Arrival(90.0, EPOCH))
    observed.telemetry.freeze(100.0)
    observed.table.record({"b": Reading(4)}, Arrival(100.0, EPOCH))

    text = generate_latest(observed.telemetry.registry).decode()
    assert 'rtc_source_users{api="zego_rtc",source="live",vendor="zego"} 3.0' in text


def test_source_that_comes_back_begins_anew() -> None:
    """
    A source that was taken away leaves no series, and its histogram does not go on where it stopped.
    """
    observed = Observed()
    observed.source.ended(1.0)
    del observed.telemetry.sources["live"]
    assert not [name for name, _ in observed.samples() if name.startswith("rtc_source")]

    observed.telemetry.sources["live"] = Observed().source
    assert 0 == observed.samples()["rtc_source_call_duration_seconds_count", ""]


def test_durations_of_calls() -> None:
    """
    Every call that ended is counted in the buckets that it fits in, be it quick or a time-out, and summed up.
    """
    observed = Observed()
    for seconds in (0.01, 0.02, 5.0, 61.0):
        observed.source.ended(seconds)
    samples = observed.samples()

    assert 4 == samples["rtc_source_call_duration_seconds_count", ""]
    assert 66.03 == pytest.approx(samples["rtc_source_call_duration_seconds_sum", ""])
    assert [1, 2, 3, 4] == [
        observed.bucket("rtc_source_call_duration_seconds", bound) for bound in ("0.01", "0.025", "5.0", "+Inf")
    ]


@pytest.mark.parametrize("generate", [generate_latest, openmetrics.generate_latest])
def test_nothing_is_published_of_when_a_counter_was_made(generate: Callable[[CollectorRegistry], bytes]) -> None:
    """
    A restart shows in the counters themselves, so no ``_created`` series stands beside them.
    """
    observed = Observed()
    observed.telemetry.scrape_durations.observe(1.0)
    observed.samples()

    assert b"_created" not in generate(observed.telemetry.registry)


def test_other_metrics_of_the_process_are_left_alone() -> None:
    """
    Nothing is switched for the whole process: who counts with prometheus_client's own classes gets what it documents.
    """
    before = sys.getswitchinterval()
    observed = Observed()
    Exposition(Table(), observed.telemetry, lambda: 0.0)
    registry = CollectorRegistry()
    Counter("others", "Somebody else's counter.", registry=registry)

    assert registry.get_sample_value("others_created") is not None
    assert before == sys.getswitchinterval()


def test_the_last_failure_is_told_in_words() -> None:
    """
    With its reason, the vendor's code and what that stands for; only the last one.
    """
    observed = Observed()
    observed.source.failed(FailureNote(EPOCH, Failure(FailureKind.TRANSIENT, "timeout", "no answer"), ("a",)))
    observed.source.failed(FailureNote(EPOCH, Failure(FailureKind.MISCONFIGURED, "100000017", "enable it"), ("b",)))

    assert [("misconfigured", "100000017", "enable it")] == last_failures(observed, 100.0)


@pytest.mark.parametrize(
    ("kind", "state", "succeeded", "refused", "shown"),
    [
        (FailureKind.TRANSIENT, SourceState.OK, None, False, True),
        (FailureKind.TRANSIENT, SourceState.OK, 80.1, False, True),
        (FailureKind.TRANSIENT, SourceState.OK, 80.0, False, False),
        (FailureKind.UNAUTHORIZED, SourceState.UNAUTHORIZED, 80.0, False, True),
        (FailureKind.REFUSED, SourceState.OK, 80.0, True, True),
        (FailureKind.REFUSED, SourceState.OK, 80.0, False, False),
        (FailureKind.TRANSIENT, SourceState.OK, 80.0, True, False),
    ],
)
def test_the_last_failure_is_shown_until_it_is_over(
    kind: FailureKind, state: SourceState, succeeded: float | None, refused: bool, shown: bool
) -> None:
    """
    Until calls have succeeded for two intervals and the source is ok; that of a refused room while one is refused.
    """
    observed = Observed()
    observed.source.succeeded(70.0, EPOCH)
    observed.source.failed(FailureNote(EPOCH, Failure(kind, "4711", "words"), ("a",)))
    observed.source.state = state
    if refused:
        observed.table.refuse("a")
    if succeeded is not None:
        observed.source.succeeded(succeeded, EPOCH)
        observed.source.succeeded(99.0, EPOCH)

    assert shown == bool(last_failures(observed, 100.0))


def last_failures(observed: Observed, now: float) -> list[tuple[str, str, str]]:
    """
    Reason, code and meaning of every last failure that is published at this monotonic time.
    """
    observed.telemetry.freeze(now)
    text = generate_latest(observed.telemetry.registry).decode()
    return [
        (sample.labels["reason"], sample.labels["code"], sample.labels["meaning"])
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "rtc_source_last_failure_info"
    ]


def test_last_failures_are_few() -> None:
    """
    The status page shows the last ones; the others are only counted.
    """
    observed = Observed()
    for number in range(1_000):
        failure = Failure(FailureKind.TRANSIENT, str(number), "x")
        observed.source.failed(FailureNote(EPOCH + number, failure, ()))

    assert "999" == observed.source.failures[-1].failure.code
    assert 20 == len(observed.source.failures)


def test_a_budget_that_another_exporter_holds_is_told_apart() -> None:
    """
    Without a cluster every budget is held. A cluster says of each whether it is.
    """
    observed = Observed()
    observed.telemetry.budgets |= {"ours": Figures(), "theirs": Figures()}
    alone = held(observed)
    observed.telemetry.holds = {"ours"}.__contains__

    assert {"ours": 1.0, "theirs": 1.0} == alone
    assert {"ours": 1.0, "theirs": 0.0} == held(observed)


def held(observed: Observed) -> dict[str, float]:
    """Whether each budget is held."""
    observed.telemetry.freeze(100.0)
    found = [metric for metric in observed.telemetry.registry.collect() if metric.name == "rtc_budget_held"]
    return {sample.labels["budget"]: sample.value for metric in found for sample in metric.samples}
