"""
One exporter takes over from another: what fires goes on as one alert, and nothing fires because of it.

In *own*, each room is published by who polls it. In *all*, every exporter publishes every room. When the one that polls
is killed, nobody does for as long as its lease, and in *own* the rooms are missing until the next scrape after that.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.rules.promql import RULES
from tests.rules.scraped import DOWN, Exporter, Firing, Room, Targets, complaints, input_series, phases, series
from tests.rules.test_courses import BEGIN, fired
from tests.rules.troubles import HEALTHY, OF_SOURCE, TROUBLES

pytestmark = pytest.mark.needs_program("promtool")

AT: Final = 600.0
"""When the exporter that polls is killed, or hands over, where no alert has to fire before."""

LEASE: Final = 5.0
SCRAPED_AGAIN: Final = 10.0 + LEASE + 5.0
"""Seconds from the kill to the first scrape after the end of the lease; scrapes are 10 s apart."""

ALERTS: Final = (
    "RtcRoomAboveThreshold",
    "RtcRoomUnknown",
    "RtcSourceDown",
    "RtcSourceSlow",
    "RtcBudgetRateLimited",
    "RtcDiscoveryFindsNothing",
)
"""Those that last as long as their trouble, one of each kind."""


def standing_by(exporter: Exporter) -> Exporter:
    """An exporter in *own* that holds nothing: it publishes no source, and its budget is held elsewhere."""
    return replace(exporter, sources={}, held=False, pace=10.0)


def polling_nothing(exporter: Exporter) -> Exporter:
    """An exporter in *all* that publishes what another one polls; the pace that it knows is that of the start."""
    return replace(exporter, held=False, pace=10.0)


Idle = Callable[[Exporter], Exporter]
Course = Sequence[tuple[float, Targets]]

MODES: Final[Mapping[str, Idle]] = {"own": standing_by, "all": polling_nothing}


def before(idle: Idle, others: str, cause: Callable[[Exporter], Exporter]) -> dict[str, Exporter]:
    """Exporter "a" polls, and the others do not."""
    return {"a": cause(HEALTHY), **{other: idle(cause(HEALTHY)) for other in others}}


def kill(at: float, idle: Idle, others: str, cause: Callable[[Exporter], Exporter]) -> Course:
    """At the kill of "a" nobody polls; "b" takes over after the lease; "a" comes back later, and does nothing."""
    rest = {other: idle(cause(HEALTHY)) for other in others}
    taken = {**rest, "b": cause(HEALTHY)}
    back = idle(cause(replace(HEALTHY, started=at + 120)))
    return [
        (at, {"a": DOWN, **rest}),
        (at + SCRAPED_AGAIN, {"a": DOWN, **taken}),
        (at + 120, {"a": back, **taken}),
    ]


def hand_over(at: float, idle: Idle, others: str, cause: Callable[[Exporter], Exporter]) -> Course:
    """For one scrape both publish, since the scrapes of two targets are not at the same moment; then only "b" does."""
    taken = {other: cause(HEALTHY) if other == "b" else idle(cause(HEALTHY)) for other in others}
    return [
        (at, {"a": cause(HEALTHY), **taken}),
        (at + 10, {"a": idle(cause(HEALTHY)), **taken}),
    ]


def hand_over_with_a_gap(at: float, idle: Idle, others: str, cause: Callable[[Exporter], Exporter]) -> Course:
    """For one scrape neither publishes; then "b" does."""
    rest = {other: idle(cause(HEALTHY)) for other in others}
    return [
        (at, {"a": idle(cause(HEALTHY)), **rest}),
        (at + 10, {"a": idle(cause(HEALTHY)), **rest, "b": cause(HEALTHY)}),
    ]


COURSES: Final = {
    "own, two, killed": ("own", "b", kill),
    "own, handed over": ("own", "bc", hand_over),
    "own, handed over with a gap": ("own", "bc", hand_over_with_a_gap),
    "all, three, killed": ("all", "bc", kill),
    "all, handed over": ("all", "b", hand_over),
}
EACH = pytest.mark.parametrize(("mode", "others", "change"), COURSES.values(), ids=COURSES)


@EACH
@pytest.mark.parametrize("alert", ALERTS)
def test_what_fires_goes_on_as_one_alert(alert: str, mode: str, others: str, change: Any, tmp_path: Path) -> None:
    """
    The trouble is the same before and after, whoever tells of it: the alert neither resolves nor fires anew.
    """
    trouble, idle = TROUBLES[alert], MODES[mode]
    fires = fired(trouble)
    killed = -(-(fires + 60) // 30) * 30  # a moment at which targets are scraped and rules evaluated
    course = [
        (0.0, before(idle, others, lambda exporter: exporter)),
        (BEGIN, before(idle, others, trouble.cause)),
        *change(killed, idle, others, trouble.cause),
    ]

    assert "" == complaints(
        tmp_path,
        phases(*course),
        alert,
        [
            Firing(0, BEGIN + trouble.waits - 1, None),
            Firing(fires, killed + 420, trouble.labels),
        ],
    )


@EACH
def test_a_takeover_is_no_trouble(mode: str, others: str, change: Any, tmp_path: Path) -> None:
    """
    All is well before and after. Of all alerts none fires meanwhile but the one on an exporter that cannot be scraped.
    """
    idle = MODES[mode]
    quiet = _quiet(
        phases(
            (0.0, before(idle, others, lambda exporter: exporter)), *change(AT, idle, others, lambda exporter: exporter)
        ),
        until=AT + 600,
    )

    assert "" == _promtool(tmp_path, yaml.safe_load((RULES / "alerts.yml").read_text(encoding="utf-8")), quiet)


NAIVE: Final = {
    "name": "naive",
    "interval": "15s",
    "rules": [
        {
            "alert": "Naive",
            "expr": "rtc_room_users > ignoring (severity) group_right () rtc_room_users_threshold",
            "for": "1m",
        },
        {
            "alert": "NaiveThatHolds",
            "expr": "rtc_room_users > ignoring (severity) group_right () rtc_room_users_threshold",
            "for": "1m",
            "keep_firing_for": "1m",
        },
    ],
}
FULL: Final = Room(640, thresholds={"critical": 400})
LABELS: Final = {**OF_SOURCE, "room": "lobby", "severity": "critical"}


@pytest.mark.parametrize("mode", ["own", "all"])
def test_a_rule_that_keeps_the_instance_resolves_and_fires_anew(mode: str, tmp_path: Path) -> None:
    """
    The same condition without aggregation: at a kill the alert of "a" ends, with `keep_firing_for` a minute later, and
    that of "b" begins as another alert, in *own* a minute after the takeover. Ours is there all the time.
    """
    idle = MODES[mode]

    def cause(exporter: Exporter) -> Exporter:
        rooms = {**exporter.sources["im"].rooms, "lobby": FULL}
        return replace(exporter, sources={"im": replace(exporter.sources["im"], rooms=rooms)})

    course = phases((0.0, before(idle, "b", cause)), *kill(AT, idle, "b", cause))
    a, b = ({**LABELS, "instance": instance, "pod": f"pod-{instance}"} for instance in "ab")
    ours = "RtcRoomAboveThreshold"
    moments = [AT + seconds for seconds in (-15, 30, 75, 105, 150, 225)]
    expected: dict[str, list[list[dict[str, str]]]] = {
        "own": {
            "Naive": [[a], [], [], [b], [b], [b]],
            "NaiveThatHolds": [[a], [a], [], [b], [b], [b]],
            ours: [[LABELS]] * 6,
        },
        "all": {
            "Naive": [[a, b], [b], [b], [b], [b], [a, b]],
            "NaiveThatHolds": [[a, b], [a, b], [b], [b], [b], [a, b]],
            ours: [[LABELS]] * 6,
        },
    }[mode]
    checks = [
        {
            "expr": f'ALERTS{{alertname="{alert}",alertstate="firing"}}',
            "eval_time": f"{moment:.0f}s",
            "exp_samples": [
                {"labels": series("ALERTS", {"alertname": alert, "alertstate": "firing"}, **labels), "value": 1}
                for labels in present
            ],
        }
        for alert, several in expected.items()
        for moment, present in zip(moments, several, strict=True)
    ]
    given = yaml.safe_load((RULES / "alerts.yml").read_text(encoding="utf-8"))
    given["groups"].append(NAIVE)
    test = {
        "interval": "10s",
        "input_series": input_series(course, AT + 300),
        "promql_expr_test": checks,
    }

    assert "" == _promtool(tmp_path, given, test)


USERS: Final = 50 + 300 + 20 + 10
"""In all rooms of a healthy exporter."""


@pytest.mark.parametrize(
    ("mode", "others", "change", "at", "plain", "right"),
    [
        ("own", "bc", kill, -10, USERS, USERS),
        ("own", "bc", kill, 10, None, None),
        ("own", "bc", kill, 30, USERS, USERS),
        ("own", "bc", hand_over, 0, 2 * USERS, USERS),
        ("all", "bc", kill, -10, 3 * USERS, USERS),
        ("all", "bc", kill, 10, 2 * USERS, USERS),
        ("all", "b", hand_over, 0, 2 * USERS, USERS),
    ],
)
def test_a_room_counts_once(
    mode: str, others: str, change: Any, at: float, plain: int | None, right: int | None, tmp_path: Path
) -> None:
    """
    A plain sum counts a room as often as it is published, the sum of the maximum over exporters once. In *own* there is
    a gap after a kill: a room of which nothing is known has no users, not 0.
    """
    idle = MODES[mode]
    course = phases(
        (0.0, before(idle, others, lambda exporter: exporter)), *change(AT, idle, others, lambda same: same)
    )
    sums = {"sum(rtc_room_users)": plain, "sum(max without (instance, pod) (rtc_room_users))": right}
    checks = [
        {
            "expr": expr,
            "eval_time": f"{AT + at:.0f}s",
            "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
        }
        for expr, value in sums.items()
    ]
    test = {"interval": "10s", "input_series": input_series(course, AT + 60), "promql_expr_test": checks}

    assert "" == _promtool(tmp_path, {"groups": []}, test)


def _quiet(course: Any, until: float) -> dict[str, Any]:
    """A test in which no alert fires, the watchdog and that on the dead exporter excepted."""
    firing = 'ALERTS{alertstate="firing",alertname!~"RtcWatchdog|RtcExporterDown"}'
    return {
        "interval": "10s",
        "input_series": input_series(course, until),
        "promql_expr_test": [
            {"expr": firing, "eval_time": f"{moment}s", "exp_samples": []} for moment in range(300, int(until), 15)
        ],
    }


def _promtool(folder: Path, rules: Mapping[str, Any], test: Mapping[str, Any]) -> str:
    (folder / "rules.yml").write_text(json.dumps(rules), encoding="utf-8")
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "15s",
        "group_eval_order": [group["name"] for group in rules["groups"]],
        "tests": [test],
    }
    (folder / "course.yml").write_text(json.dumps(document), encoding="utf-8")
    ended = subprocess.run(
        ["promtool", "test", "rules", folder / "course.yml"], check=False, capture_output=True, text=True
    )
    return ended.stderr
