"""
On the real Prometheus and Alertmanager, with the files of `deploy/`: scrapes, dashboards, rules, and two alerts from
the room to the pager and back. What is rewritten in those files for the tests' sake, `tests/e2e/monitoring.py` says.
"""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from exporter.simulator.settings import APIS
from grafana.generator.expressions import Expression, expressions
from tests.e2e.monitoring import settled
from tests.e2e.stack import CRITICAL, STAGE, WARNING, Stack, running

pytestmark = [
    pytest.mark.needs_program("prometheus", "alertmanager"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

PATIENCE = 60
"""Seconds that a test waits for what comes within ten on a machine that has nothing else to do."""

OF_TROUBLES = {
    "source:rtc_source_up:gone1h",
    "room:rtc_room_info:unknown",
    "room:rtc_room_exists:closed",
    "room:rtc_room_exists:closed_since",
    "room:rtc_room_users_above_threshold:last",
}
"""Recorded series that there are of rooms and sources in trouble alone."""

OF_SHARDS = {"exporter:rtc_exporter_total_shards:last"}
"""Recorded series that there are of exporters that divide a config alone."""

ONLY_IN_TROUBLE = {
    "Alerts A",
    "Alerts B",
    "Known rooms above a threshold B",
    "Firing alerts A",
    "Firing alerts B",
    "Alerts of this room A",
    "Sources down and up C",
    "Last failures A",
    "Failed calls by reason A",
    "Rooms that the last poll did not read A",
    "Rooms in replies that nobody asked for A",
    "Config and rooms files C",
}
"""Panels and queries that show nothing while all is well, or without a web config."""

OF_OTHER_CONFIGS = re.compile(
    "rtc_(discovery|callback|room_lifetime|cluster)_|rtc_source_inherited|total_shards|rooms_by_interval|user_seconds"
    "|published_rooms_changes"
)
"""Metrics of configs with more in them than this one: found rooms, a cluster, shards, a cadence, `publish`."""

NEVER_COUNTED = (
    "prometheus_target_scrapes_sample_duplicate_timestamp_total",
    "prometheus_target_scrapes_sample_out_of_order_total",
    "prometheus_target_scrapes_sample_out_of_bounds_total",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_notifications_errors_total",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """
    Everything running, with ten rooms of each API beside the stage; each test leaves it as healthy as it was.
    """
    async with running(tmp_path_factory.mktemp("stack"), dict.fromkeys(APIS, 10)) as stack:
        yield stack


async def test_prometheus_scrapes_the_exporter(stack: Stack):
    """
    Both targets of prometheus.yml are up, every watched room has a number, and the stage's changes with the vendors'.
    """

    async def up() -> dict[str, float]:
        return {labels["job"]: value for labels, value in await stack.prometheus.vector("up")}

    async def rooms() -> set[tuple[str, str]]:
        return {(labels["source"], labels["room"]) for labels, _ in await stack.prometheus.vector("rtc_room_users")}

    healthy = {"rtc-room-exporter": 1.0, "prometheus": 1.0}
    assert healthy == await settled(healthy, up, PATIENCE)
    assert stack.watched() == await settled(stack.watched(), rooms, PATIENCE)
    await stack.put_on_stage(users=55)


async def test_every_panel_and_variable_of_every_dashboard_has_data(stack: Stack):
    """
    With nothing chosen but the job and a room, no query that a dashboard asks comes back empty, but for what is only
    shown when something is wrong. (What panels read then is shown in `tests/grafana/test_readings.py`.)
    """
    asked = expressions({"job": "rtc-room-exporter", "room": STAGE})

    async def answered(expression: Expression) -> bool:
        if expression.instant:
            return bool(await stack.prometheus.vector(expression.promql))
        return await stack.prometheus.has_range(expression.promql)

    async def empty() -> list[str]:
        silent = [one for one in asked if not OF_OTHER_CONFIGS.search(one.promql) and not await answered(one)]
        return [f"{one.dashboard} · {one.place}: {one.promql}" for one in silent if one.place not in ONLY_IN_TROUBLE]

    await _fall_towards_the_threshold(stack)

    assert [] == await settled([], empty, PATIENCE)


async def test_rules_record_and_alerts_are_silent_while_nothing_is_wrong(stack: Stack):
    """
    Prometheus evaluates every rule without error; each recorded series has data but those of troubles, and no alert's
    expression has any but the watchdog's. (That each has data in its trouble is shown in `tests/e2e/test_alerts.py`.)
    """
    recorded = {rule["name"] for rule in await stack.prometheus.rules() if rule["type"] == "recording"}
    expected = recorded - OF_TROUBLES - OF_SHARDS | {"RtcWatchdog"}

    async def look() -> tuple[list[dict[str, str]], set[str]]:
        rules = await stack.prometheus.rules()
        unhealthy = [rule for rule in rules if rule["health"] != "ok" or "lastError" in rule]
        return unhealthy, expected ^ {rule["name"] for rule in rules if await stack.prometheus.vector(rule["query"])}

    await _fall_towards_the_threshold(stack)

    assert OF_TROUBLES < recorded
    assert ([], set()) == await settled(([], set()), look, PATIENCE)


async def _fall_towards_the_threshold(stack: Stack) -> None:
    """
    A fifth of the users on stage leave, who were as many as its warning threshold; so it is a sudden drop, and still
    near the threshold.
    """
    await stack.put_on_stage(users=WARNING)
    await stack.put_on_stage(users=WARNING * 4 // 5)


async def test_a_room_over_its_threshold_is_an_alert_until_it_falls(stack: Stack):
    """
    The stage above both thresholds fires two alerts into Alertmanager, where the critical one suppresses the other
    message; when users leave, both resolve.
    """

    async def look() -> dict[tuple[str, str], tuple[str, str]]:
        return {
            (alert["labels"]["source"], alert["labels"]["severity"]): (
                alert["status"]["state"],
                alert["annotations"]["summary"],
            )
            for alert in await stack.alertmanager.alerts("RtcRoomAboveThreshold")
        }

    states = {"warning": "suppressed", "critical": "active"}
    thresholds = {"warning": WARNING, "critical": CRITICAL}
    fired = {
        (api, severity): (
            state,
            f"Room {STAGE} is above its {severity} threshold: 1200 users of {thresholds[severity]}",
        )
        for api in APIS
        for severity, state in states.items()
    }

    await stack.put_on_stage(users=1200)
    assert fired == await settled(fired, look, PATIENCE)

    # Not half of them at once, which would be another alert.
    await stack.put_on_stage(users=650)
    assert {} == await settled({}, look, PATIENCE)


async def test_rooms_are_unknown_while_their_vendors_are_gone(stack: Stack):
    """
    When the simulator is stopped, every room loses its series and fires its alert; when it is back, all resolve.
    """

    async def unknown() -> set[tuple[str, str]]:
        alerts = await stack.alertmanager.alerts("RtcRoomUnknown")
        return {(alert["labels"]["source"], alert["labels"]["room"]) for alert in alerts}

    await stack.vendors.stop()
    assert stack.watched() == await settled(stack.watched(), unknown, PATIENCE)
    assert [] == await stack.prometheus.vector("rtc_room_users")
    assert len(stack.watched()) == len(await stack.prometheus.vector("rtc_room_info"))

    await stack.vendors.start()
    assert set() == await settled(set(), unknown, PATIENCE)


async def test_prometheus_has_nothing_to_complain_about(stack: Stack):
    """
    After all that, its log at debug level holds no warning and no failed scrape, and it counted nothing out of order.
    """
    words = re.compile("level=(warn|error)|scrape failed|duplicate|out.of.order|out.of.bounds", re.IGNORECASE)

    async def counted() -> dict[str, float]:
        samples = await stack.prometheus.vector(f'sum by (__name__) ({{__name__=~"{"|".join(NEVER_COUNTED)}"}})')
        return {labels["__name__"]: value for labels, value in samples}

    never = dict.fromkeys(NEVER_COUNTED, 0.0)
    assert never == await settled(never, counted, PATIENCE)
    assert [1.0, 1.0] == [value for _, value in await stack.prometheus.vector("min_over_time(up[1h])")]
    log = stack.prometheus.daemon.log.splitlines()
    assert any("level=debug" in line.lower() for line in log)
    assert [] == [line for line in log if words.search(line)]


async def test_no_series_stands_twice_in_a_scrape(stack: Stack):
    """
    Each sample of a scrape became a series of its own. (Prometheus 2.42 does not warn of this.)
    """
    series = 'count by (job, instance) ({job="rtc-room-exporter",__name__=~"(rtc|process|python)_.+"})'

    [(_, surplus)] = await stack.prometheus.vector(f"scrape_samples_scraped - on (job, instance) {series}")

    assert 0 == surplus
