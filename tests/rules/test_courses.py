"""
Every alert on promtool, in the courses that operators see: it fires and resolves; its exporter is killed, restarted,
replaced, or one of three; all exporters are gone. What fires goes on while nothing better is known, as one alert.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.states import SourceState
from tests.rules.promql import rules
from tests.rules.scraped import DOWN, Discovery, Exporter, Firing, Targets, complaints, phases
from tests.rules.troubles import HEALTHY, OF_SEVERAL, TROUBLES, Trouble

pytestmark = pytest.mark.needs_program("promtool")

BEGIN = 600.0
"""When the trouble begins: a multiple of all paces, and late enough for what looks back."""

EACH = pytest.mark.parametrize(("alert", "trouble"), TROUBLES.items(), ids=TROUBLES)


def lag(trouble: Trouble) -> float:
    """
    From what happens to the next evaluation after the next scrape.
    """
    return sum(trouble.pace)


def fired(trouble: Trouble) -> float:
    """
    When the alert fires at the latest.
    """
    return BEGIN + trouble.waits + lag(trouble)


def just_started(exporter: Exporter, now: float) -> Exporter:
    """
    The same exporter in its first seconds: it watches its rooms, and has heard of none.
    """
    sources = {
        name: replace(
            source,
            rooms={room: replace(known, users=None) for room, known in source.rooms.items()},
            crowd=0,
            dark=source.dark + source.crowd,
            up=False,
            state=SourceState.OK,
            achieved=None,
            failure=None,
            last_success=None,
            discovery=source.discovery and Discovery(named=0, listed_at=math.inf, heard_at=math.inf),
        )
        for name, source in exporter.sources.items()
    }
    return replace(exporter, sources=sources, started=now)


def restarted(trouble: Trouble, at: float, **others: Exporter) -> list[tuple[float, Targets]]:
    """
    Exporter "a" is back with the same trouble: it knows nothing for a moment, and is slow again after a while.
    """
    exporter = trouble.cause(replace(HEALTHY, started=at))
    slow = replace(exporter, sources={name: replace(one, achieved=None) for name, one in exporter.sources.items()})
    return [
        (at, {"a": just_started(exporter, at), **others}),
        (at + 20, {"a": slow, **others}),
        (at + 60, {"a": exporter, **others}),
    ]


def run(folder: Path, alert: str, course: Sequence[tuple[float, Targets]], *expected: Firing) -> str:
    """
    What promtool complains of.
    """
    scrapes, evaluations = TROUBLES[alert].pace
    return complaints(folder, phases(*course), alert, expected, scrapes, evaluations)


def test_every_alert_is_put_through_these_courses():
    """
    All but the two that tell of the exporter itself, and those of several that disagree: they have tests of their own.
    """
    alerts = {rule["alert"] for rule in rules("alerts.yml") if "alert" in rule}

    assert {*TROUBLES, *OF_SEVERAL, "RtcExporterDown", "RtcWatchdog"} == alerts


@EACH
@pytest.mark.parametrize("exporters", ["a", "ab"], ids=["one", "two"])
def test_it_fires_and_resolves(alert, trouble, exporters, tmp_path):
    """
    Not before its time, and as long as its trouble lasts or is news; then it resolves. Two exporters that publish the
    same make no difference.
    """
    healthy, bad = (dict.fromkeys(exporters, one) for one in (HEALTHY, trouble.cause(HEALTHY)))
    fires = fired(trouble)
    over = fires + (600 if trouble.lasts is None else trouble.lasts)
    course = [(0.0, healthy), (BEGIN, bad)]
    if trouble.lasts is None:
        course.append((over, healthy))
    resolved = over + lag(trouble) + (trouble.ends if trouble.lasts is None else 60)

    assert "" == run(
        tmp_path,
        alert,
        course,
        Firing(0, BEGIN + trouble.waits - 1, None),
        Firing(fires, over - (1 if trouble.lasts is None else 60), trouble.labels),
        Firing(resolved, resolved + 300, None),
    )


@EACH
def test_it_goes_on_through_a_kill_and_a_restart(alert, trouble, tmp_path):
    """
    Three minutes without an exporter, then a new process whose trouble is the same: it never stops firing.
    """
    bad, fires = trouble.cause(HEALTHY), fired(trouble)
    killed = fires + 60
    back = killed + 180

    assert "" == run(
        tmp_path,
        alert,
        [(0.0, {"a": HEALTHY}), (BEGIN, {"a": bad}), (killed, {"a": DOWN}), *restarted(trouble, back)],
        Firing(fires, min(back + 240, killed + trouble.held), trouble.labels),
    )


@EACH
def test_it_goes_on_while_one_pod_replaces_another(alert, trouble, tmp_path):
    """
    For a minute two pods publish the same, the new one knowing nothing at first; then the old one is gone: one alert.
    """
    bad, fires = trouble.cause(HEALTHY), fired(trouble)
    comes, goes = fires + 60, fires + 120
    new = trouble.cause(replace(HEALTHY, started=comes))

    assert "" == run(
        tmp_path,
        alert,
        [
            (0.0, {"a": HEALTHY}),
            (BEGIN, {"a": bad}),
            (comes, {"a": bad, "b": just_started(new, comes)}),
            (comes + 20, {"a": bad, "b": new}),
            (goes, {"b": new}),
        ],
        Firing(fires, goes + 180, trouble.labels),
    )


@EACH
def test_it_is_one_alert_of_three_exporters_and_outlives_those_it_is_about(alert, trouble, tmp_path):
    """
    Two exporters publish the same, a third one has other sources. The two are killed; the third goes on. The alert is
    one, and is held for an hour.
    """
    third = Exporter(sources={"third": HEALTHY.sources["other"]}, budget="third")
    bad, fires = trouble.cause(HEALTHY), fired(trouble)
    killed = fires + 60
    ends = killed + max(3600.0, trouble.held) + lag(trouble) + trouble.ends + 300

    assert "" == run(
        tmp_path,
        alert,
        [
            (0.0, {"a": HEALTHY, "b": HEALTHY, "c": third}),
            (BEGIN, {"a": bad, "b": bad, "c": third}),
            (killed, {"a": DOWN, "b": DOWN, "c": third}),
        ],
        Firing(0, BEGIN + trouble.waits - 1, None),
        Firing(fires, killed + trouble.held, trouble.labels),
        Firing(ends, ends + 60, None),
    )


@EACH
def test_it_is_held_when_the_only_pod_is_gone_for_good(alert, trouble, tmp_path):
    """
    Its target is not in the list any more; what it told of its sources is held for an hour.
    """
    bad, fires = trouble.cause(HEALTHY), fired(trouble)
    gone = fires + 60
    ends = gone + max(3600.0, trouble.held) + lag(trouble) + trouble.ends + 300

    assert "" == run(
        tmp_path,
        alert,
        [(0.0, {"a": HEALTHY}), (BEGIN, {"a": bad}), (gone, {})],
        Firing(fires, gone + trouble.held_without_target, trouble.labels),
        Firing(ends, ends + 60, None),
    )
