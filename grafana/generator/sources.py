"""
Panels about sources: which are up, their states, and their intervals compared with the configured ones.
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import stat, statetimeline, table
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from exporter.metrics import catalogue as metrics
from exporter.states import SourceState
from grafana.generator import frame
from grafana.generator.aggregation import (
    by_source,
    down_sources,
    in_intervals,
    of_sources,
    rooms_of_sources,
    success_age,
    unknown_rooms,
)
from grafana.generator.panels import (
    COUNT,
    GREEN,
    GREY,
    KNOWN_NOTHING,
    NAME_AND_VALUE,
    NONE_WANTED,
    ORANGE,
    PURPLE,
    RED,
    SOME_WANTED,
    TIMES,
    YELLOW,
    Query,
    Steps,
    Subject,
    coloured,
    links,
    listing,
    number,
    sorted_by,
    states,
    steps,
    value_map,
)
from grafana.generator.variables import OF_SOURCE, select

SOURCE_STATES: Final = {
    SourceState.OK: ("ok", GREEN),
    SourceState.CIRCUIT_OPEN: ("circuit open", ORANGE),
    SourceState.UNAUTHORIZED: ("unauthorized", RED),
    SourceState.MISCONFIGURED: ("misconfigured", PURPLE),
}
_NOT_UP, _NO_ROOMS = len(SOURCE_STATES), len(SOURCE_STATES) + 1
_SHOWN_STATES: Final = {
    **dict(enumerate(SOURCE_STATES.values())),
    _NOT_UP: ("no success lately", RED),
    _NO_ROOMS: ("no rooms", GREY),
}
AGES: Final[Steps] = ((GREEN, None), (YELLOW, 2), (RED, 3))
"""In intervals. A source is down after two; readings stay published for three or more."""
STRETCHES: Final[Steps] = ((GREEN, None), (YELLOW, 1.05), (RED, 1.1))
FAILURES: Final[Steps] = ((GREEN, None), (YELLOW, 0.01), (RED, 0.1))


def up() -> stat.Panel:
    """Number of sources that are down, and up."""
    subject = Subject(
        "Sources down and up",
        "down: no call succeeded within the last two intervals; up: one did. A source without rooms makes no calls.",
        (metrics.SOURCE_UP, metrics.SOURCE_ROOMS),
        COUNT,
    )
    down = f"{of_sources(metrics.SOURCE_UP)} == bool 0 unless {rooms_of_sources()} == 0"
    return (
        number(
            subject,
            Query(f"sum({down})", "down"),
            Query(f"sum({of_sources(metrics.SOURCE_UP)})", "up"),
            Query(f"count({rooms_of_sources()} == 0)", "without rooms"),
        )
        .span(5)
        .override_by_name("down", [steps(NONE_WANTED)])
        .override_by_name("up", [steps(SOME_WANTED)])
        .override_by_name("without rooms", [steps(((YELLOW, None),))])
    )


def worst_failed_share() -> stat.Panel:
    """The source with the highest share of failed calls."""
    subject = Subject(
        "Worst share of failed calls",
        "Of the source whose calls fail most: the share of its calls of the last five minutes that gave no reading of"
        " one or more of their rooms. A source that nobody answers makes few calls, so it would not show in the share"
        " of all calls.",
        (metrics.SOURCE_FAILED_CALLS, metrics.SOURCE_CALLS),
        "percentunit",
        FAILURES,
    )
    panel = number(subject, Query(f"topk(1, {failed_share()})", "{{source}}"))
    return panel.span(7).text_mode(NAME_AND_VALUE).no_value("no known calls")


def slowest() -> stat.Panel:
    """The source whose achieved interval is furthest above the configured one."""
    subject = Subject(
        "Longest interval",
        "Of the source that is furthest from what is wanted: its achieved interval as a multiple of the wanted one, or"
        " the time since its last success where that is longer.",
        (metrics.SOURCE_ACHIEVED_INTERVAL, metrics.SOURCE_LAST_SUCCESS, metrics.SOURCE_INTERVAL),
        TIMES,
        STRETCHES,
    )
    panel = number(subject, Query(f"topk(1, {in_intervals(achieved_interval())})", "{{source}}"))
    return panel.span(7).text_mode(NAME_AND_VALUE).decimals(2)


def listed() -> table.Panel:
    """All sources, those with a problem first."""
    subject = Subject(
        "Every source",
        "circuit open: the vendor does not answer, and one trial call at a time is made; unauthorized and"
        " misconfigured: it answers that the calls cannot work, and is asked once a minute; no success lately: no call"
        " has succeeded for two intervals. Times are in intervals of the source: 1 × is what is wanted.",
        (metrics.SOURCE_STATE, metrics.SOURCE_UP),
        COUNT,
    )
    values = {
        "State": Query(_state()),
        "Rooms": Query(by_source(rooms_of_sources())),
        "Unknown rooms": Query(by_source(unknown_rooms())),
        "Last success": Query(in_intervals(success_age())),
        "Interval": Query(in_intervals(achieved_interval())),
        "Failed calls": Query(failed_share()),
    }
    times = [DynamicConfigValue("unit", TIMES), DynamicConfigValue("decimals", 1), coloured()]
    return (
        listing(subject, ("source",), values, sorted_by("State", descending=True))
        .span(24)
        .height(8)
        .no_value(KNOWN_NOTHING)
        .override_by_name("source", [links(frame.health_link())])
        .override_by_name("job", [DynamicConfigValue("custom.hidden", value=True)])
        .override_by_name("Value #A", [DynamicConfigValue("mappings", [value_map(_SHOWN_STATES)]), coloured()])
        .override_by_name("Value #C", [steps(NONE_WANTED), coloured()])
        .override_by_name("Value #D", [*times, steps(AGES)])
        .override_by_name("Value #E", [*times, steps(STRETCHES)])
        .override_by_name("Value #F", [DynamicConfigValue("unit", "percentunit"), steps(FAILURES), coloured()])
    )


def states_over_time() -> statetimeline.Panel:
    """The states of sources over time."""
    subject = Subject(
        "State of each source",
        "circuit open: the vendor does not answer, and one trial call at a time is made; unauthorized and"
        " misconfigured: it answers that the calls cannot work, and is asked once a minute; no success lately: no call"
        " has succeeded for two intervals.",
        (metrics.SOURCE_STATE, metrics.SOURCE_UP),
        COUNT,
    )
    return states(subject, Query(_state(), "{{source}}"), mapping=_SHOWN_STATES)


def last_failures() -> table.Panel:
    """Failed calls by reason."""
    subject = Subject(
        "Last failures",
        "What each source's calls last failed of, with the vendor's code and what it stands for. A source whose calls"
        " have succeeded for a while is not here.",
        (metrics.SOURCE_LAST_FAILURE,),
        COUNT,
    )
    columns = ("source", "reason", "code", "meaning", "api", "vendor")
    failures = f"max by ({', '.join(columns)}) ({select(metrics.SOURCE_LAST_FAILURE, OF_SOURCE)})"
    panel = listing(subject, columns, {"Now": Query(failures)}, sorted_by("source"))
    return (
        panel.height(9)
        .no_value("none known")
        .override_by_name("Value", [DynamicConfigValue("custom.hidden", value=True)])
    )


def achieved_interval() -> str:
    """
    Seconds between two readings of a room, for each chosen source.

    A source that stops reading keeps its last achieved interval for minutes. So once the time since its last success is
    longer than both the achieved and the configured interval, that time is used.
    """
    achieved = by_source(select(metrics.SOURCE_ACHIEVED_INTERVAL, OF_SOURCE))
    wanted = by_source(select(metrics.SOURCE_INTERVAL, OF_SOURCE))
    return f"(({success_age()} > {wanted} unless {success_age()} <= {achieved}) or {achieved})"


def failed_share() -> str:
    """
    Failed calls as a share of all calls over five minutes, for each chosen source.

    A source that is down makes one trial call a minute: five minutes contain several of them.
    """
    failed = f"sum by (job, source) (rate({select(metrics.SOURCE_FAILED_CALLS, OF_SOURCE)}[5m]))"
    calls = f"sum by (job, source) (rate({select(metrics.SOURCE_CALLS, OF_SOURCE)}[5m]))"
    return f"{failed} / ({calls} > 0)"


def _state() -> str:
    """The state of each chosen source as a number. If exporters differ, the best state is used."""
    number = " + ignoring (state) ".join(
        f"{index} * " + select(metrics.SOURCE_STATE, OF_SOURCE, f'state="{state}"')
        for index, state in enumerate(SOURCE_STATES)
    )
    state = f"min by (job, source) ({number})"
    empty = by_source(f"{rooms_of_sources()} == 0")
    down = by_source(down_sources())
    return f"{state} > 0 or {_NO_ROOMS} + 0 * {empty} or {_NOT_UP} + 0 * {down} or {state}"
