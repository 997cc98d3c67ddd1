"""
The types of panel. Each has a unit, thresholds and a description, which ends with the help texts of all metrics that
the panel shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import (
    barchart,
    common,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders.dashboard import FieldColor, ThresholdsConfig
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

from exporter.metrics.catalogue import Metric
from grafana.generator.variables import DATASOURCE, select

GREEN: Final = "green"
YELLOW: Final = "yellow"
ORANGE: Final = "orange"
RED: Final = "red"
BLUE: Final = "blue"
PURPLE: Final = "purple"
GREY: Final = "#8e8e8e"

Steps = tuple[tuple[str, float | None], ...]
PLAIN: Final[Steps] = ((GREEN, None),)
"""For values that are neither good nor bad."""
NONE_WANTED: Final[Steps] = ((GREEN, None), (RED, 1))
"""For counts that should be 0."""

SOME_WANTED: Final[Steps] = ((RED, None), (GREEN, 1))
"""For counts that should not be 0."""

COUNT: Final = "locale"
"""The unit of whole numbers. Grafana's ``short`` would show 39,356 as 39.4 K."""
TIMES: Final = "suffix:×"
"""The unit of ratios that can be far above 1."""

NAME_AND_VALUE: Final = common_models.BigValueTextMode.VALUE_AND_NAME
"""Shows the name beside a single number, where the name says which source it belongs to."""

KNOWN_NOTHING: Final = "nothing known"
"""Shown instead of a missing value. Neither 0 nor "No data" would be correct."""

SEVERITY_COLORS: Final = {"critical": RED, "warning": ORANGE}

Panel = barchart.Panel | heatmap.Panel | stat.Panel | statetimeline.Panel | table.Panel | timeseries.Panel
AnyPanel = TypeVar(
    "AnyPanel", barchart.Panel, heatmap.Panel, stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel
)


@dataclass(frozen=True, slots=True)
class Query:
    """
    One expression of a panel.

    Args:
        legend: Grafana's legend format, for instance ``{{vendor}}``.
    """

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """
    Title, description, unit and thresholds of a panel.

    Args:
        description: For operators; the help texts of the metrics are appended.
        metrics: The metrics in the panel.
        unit: One of Grafana's unit ids, for instance ``short``, ``s``, ``percentunit``.
        thresholds: Colours and where they begin, lowest first; the first begins at None.
    """

    title: str
    description: str
    metrics: tuple[Metric, ...]
    unit: str
    thresholds: Steps = PLAIN

    def text(self) -> str:
        """The whole description, as Markdown."""
        return "\n\n".join([self.description, *(f"`{metric.name}`: {metric.help}" for metric in self.metrics)])


def over_time(subject: Subject, *queries: Query, stacked: bool = False, lines: bool = False) -> timeseries.Panel:
    """
    A panel of values over time.

    Args:
        stacked: Draw stacked areas, for values with a meaningful sum.
        lines: Draw the thresholds as lines.
    """
    panel = (
        _about(timeseries.Panel(), subject)
        .span(12)
        .height(9)
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.TABLE)
            .placement(common_models.LegendPlacement.BOTTOM)
            .calcs(["last", "max"])
            .show_legend(show_legend=True)
        )
        .line_width(1)
        .show_points(common_models.VisibilityMode.NEVER)
        .no_value(KNOWN_NOTHING)
        .targets([_target(query, index) for index, query in enumerate(queries)])
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL)).fill_opacity(30)
    if lines:
        style = common.GraphThresholdsStyleConfig().mode(common_models.GraphTresholdsStyleMode.DASHED)
        panel = panel.thresholds_style(style)
    return panel


def number(subject: Subject, *queries: Query) -> stat.Panel:
    """
    A panel of present values.

    The queries are instant queries: with a range query Grafana would show the last value of the range, however old.
    """
    return (
        _about(stat.Panel(), subject)
        .span(4)
        .height(4)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value(KNOWN_NOTHING)
        .targets([_target(query, index).instant() for index, query in enumerate(queries)])
    )


def states(subject: Subject, *queries: Query, mapping: Mapping[int, tuple[str, str]]) -> statetimeline.Panel:
    """
    A panel of states over time.

    Args:
        mapping: Text and colour of every value.
    """
    return (
        _about(statetimeline.Panel(), subject)
        .span(12)
        .height(9)
        .mappings([value_map(mapping)])
        .show_value(common_models.VisibilityMode.AUTO)
        .merge_values(merge_values=True)
        .no_value(KNOWN_NOTHING)
        .targets([_target(query, index) for index, query in enumerate(queries)])
    )


def listing(
    subject: Subject, columns: tuple[str, ...], values: Mapping[str, Query], *order: common.TableSortByFieldState
) -> table.Panel:
    """
    A table of present values. With several queries, values with the same labels share a row.

    Args:
        columns: Labels in the order of the columns; other labels follow.
        values: Queries, by the heading of their column.
        order: Columns to sort by; by default the first value, highest first.
    """
    fields = ["Value"] if len(values) == 1 else [f"Value #{_letter(index)}" for index in range(len(values))]
    places = {name: index for index, name in enumerate((*columns, *fields))}
    organized = {"excludeByName": {"Time": True}, "indexByName": places, "renameByName": {}}
    panel = (
        _about(table.Panel(), subject)
        .span(12)
        .height(10)
        .sort_by([*order] or [sorted_by(next(iter(values)), descending=True)])
        .targets([_target(query, index, table=True) for index, query in enumerate(values.values())])
    )
    if len(values) > 1:
        panel = panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    panel = panel.with_transformation(DataTransformerConfig(id_val="organize", options=organized))
    for field, heading in zip(fields, values, strict=True):
        panel = panel.override_by_name(field, [DynamicConfigValue("displayName", heading)])
    return panel


def sorted_by(column: str, *, descending: bool = False) -> common.TableSortByFieldState:
    """Sorts a table by a column."""
    return common.TableSortByFieldState().display_name(column).desc(desc=descending)


def bars(subject: Subject, query: Query, by: str) -> barchart.Panel:
    """
    A panel of present values as bars, in the alphabetical order of a label.

    Args:
        by: The label.
    """
    return (
        _about(barchart.Panel(), subject)
        .span(8)
        .height(9)
        .x_field(by)
        .no_value(KNOWN_NOTHING)
        .with_transformation(DataTransformerConfig(id_val="sortBy", options={"fields": {}, "sort": [{"field": by}]}))
        .legend(common.VizLegendOptions().show_legend(show_legend=False))
        .override_by_name("Value", [DynamicConfigValue("displayName", subject.title)])
        .targets([_target(query, 0, table=True)])
    )


def classes(subject: Subject, query: Query) -> heatmap.Panel:
    """
    A panel of how many there were in each class over time. Darker is more, on a scale of powers.

    Args:
        query: Numbers up to each bound ``le``; Grafana takes those of the class below from each.
    """
    scale = (
        heatmap.HeatmapColorOptions()
        .mode(heatmap_models.HeatmapColorMode.SCHEME)
        .scheme("Blues")
        .scale(heatmap_models.HeatmapColorScale.EXPONENTIAL)
        .exponent(0.3)
        .steps(64)
    )
    return (
        _about(heatmap.Panel(), subject)
        .span(16)
        .height(9)
        .calculate(calculate=False)
        .color(scale)
        .show_tooltip()
        .no_value(KNOWN_NOTHING)
        .targets([_target(query, 0).format(PromQueryFormat.HEATMAP)])
    )


def quantiles(histogram: Metric, matchers: str, by: str = "") -> list[Query]:
    """
    The median, the 90th and the 99th percentile of a histogram.

    Args:
        by: A label whose values get separate lines, beside the job.
    """
    labels, legend = (f"le, job, {by}", f"{{{{{by}}}}} ") if by else ("le, job", "")
    buckets = f"sum by ({labels}) (rate({select(f'{histogram.name}_bucket', matchers)}[$__rate_interval]))"
    return [
        Query(f"histogram_quantile({quantile}, {buckets})", f"{legend}{name}")
        for quantile, name in ((0.5, "median"), (0.9, "90 %"), (0.99, "99 %"))
    ]


def value_map(mapping: Mapping[int, tuple[str, str]]) -> ValueMap:
    """A value mapping: shows coloured texts instead of numbers."""
    return ValueMap(
        options={
            str(value): ValueMappingResult(text=text, color=color, index=index)
            for index, (value, (text, color)) in enumerate(mapping.items())
        }
    )


def text_map(colors: Mapping[str, str]) -> DynamicConfigValue:
    """Override: colours for texts."""
    options = {text: {"color": color, "index": index} for index, (text, color) in enumerate(colors.items())}
    return DynamicConfigValue("mappings", [{"type": "value", "options": options}])


def color(value: str) -> DynamicConfigValue:
    """Override: one fixed colour for a series."""
    return DynamicConfigValue("color", {"mode": "fixed", "fixedColor": value})


def steps(value: Steps) -> DynamicConfigValue:
    """Override: other thresholds than those of the panel."""
    found = [{"color": color, "value": begin} for color, begin in value]
    return DynamicConfigValue("thresholds", {"mode": "absolute", "steps": found})


def coloured() -> DynamicConfigValue:
    """Override: coloured text in the cells of a table."""
    return DynamicConfigValue("custom.cellOptions", {"type": "color-text"})


def dashed() -> list[DynamicConfigValue]:
    """Overrides: a dashed line, for a wanted or allowed value beside the real one."""
    return [
        DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
        DynamicConfigValue("custom.fillOpacity", 0),
    ]


def links(*titled: tuple[str, str]) -> DynamicConfigValue:
    """Override: links on a value, as pairs of title and URL."""
    return DynamicConfigValue("links", [{"title": title, "url": url} for title, url in titled])


def _about(panel: AnyPanel, subject: Subject) -> AnyPanel:
    steps = [Threshold(value=value, color=color) for color, value in subject.thresholds]
    mode = FieldColorModeId.PALETTE_CLASSIC if _is_graph(panel) else FieldColorModeId.THRESHOLDS
    return (
        panel.title(subject.title)
        .description(subject.text())
        .datasource(DATASOURCE)
        .unit(subject.unit)
        .thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .color_scheme(FieldColor().mode(mode))
    )


def _is_graph(panel: AnyPanel) -> bool:
    return isinstance(panel, timeseries.Panel | barchart.Panel)


def _target(query: Query, index: int, *, table: bool = False) -> prometheus.Dataquery:
    target = (
        prometheus.Dataquery()
        .datasource(DATASOURCE)
        .expr(query.expr)
        .legend_format(query.legend or "__auto")
        .editor_mode(QueryEditorMode.CODE)
        .ref_id(_letter(index))
        .range()
    )
    return target.format(PromQueryFormat.TABLE).instant() if table else target


def _letter(index: int) -> str:
    return chr(ord("A") + index)
