"""
The kinds of panel that the dashboards are made of. Each has a unit, thresholds and a description; the description ends
with the help of every metric that the panel shows, as the catalogue has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import barchart, common, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.dashboard import FieldColor, ThresholdsConfig
from grafana_foundation_sdk.models import common as common_models
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
from grafana.variables import DATASOURCE, select

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
"""For counts of what should not happen."""

Panel = barchart.Panel | stat.Panel | statetimeline.Panel | table.Panel | timeseries.Panel
AnyPanel = TypeVar("AnyPanel", barchart.Panel, stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)


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
    What a panel is about.

    Args:
        description: In words an operator understands; the metrics' help is added.
        metrics: Those the panel shows.
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
    Values over time.

    Args:
        stacked: Draw areas on top of one another: the values have a sum that means something.
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
            .calcs(["mean", "max"])
            .show_legend(show_legend=True)
        )
        .line_width(1)
        .show_points(common_models.VisibilityMode.NEVER)
        .targets([_target(query, index) for index, query in enumerate(queries)])
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL)).fill_opacity(30)
    if lines:
        style = common.GraphThresholdsStyleConfig().mode(common_models.GraphTresholdsStyleMode.DASHED)
        panel = panel.thresholds_style(style)
    return panel


def number(subject: Subject, query: Query) -> stat.Panel:
    """
    The value now, and none when there is none.

    Asked for this instant alone: over a range of time Grafana would show the last value there was, however old.
    """
    return (
        _about(stat.Panel(), subject)
        .span(4)
        .height(4)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .targets([_target(query, 0).instant()])
    )


def states(subject: Subject, *queries: Query, mapping: dict[int, tuple[str, str]]) -> statetimeline.Panel:
    """
    Which state held when.

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
        .targets([_target(query, index) for index, query in enumerate(queries)])
    )


def listing(subject: Subject, query: Query, columns: tuple[str, ...], value: str) -> table.Panel:
    """
    The series of one instant as rows, the highest value first.

    Args:
        columns: Labels in the order in which they are shown.
        value: Heading of the last column.
    """
    order = {name: index for index, name in enumerate((*columns, "Value"))}
    organized = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": {}}
    return (
        _about(table.Panel(), subject)
        .span(12)
        .height(10)
        .sort_by([common.TableSortByFieldState().display_name(value).desc(desc=True)])
        .with_transformation(DataTransformerConfig(id_val="organize", options=organized))
        .override_by_name("Value", [DynamicConfigValue("displayName", value)])
        .targets([_instant(query)])
    )


def bars(subject: Subject, query: Query, by: str) -> barchart.Panel:
    """
    The series of one instant as bars in the order of a label that holds a number.

    Args:
        by: That label.
    """
    return (
        _about(barchart.Panel(), subject)
        .span(12)
        .height(10)
        .x_field(by)
        .with_transformation(_convert(by, "number"))
        .with_transformation(DataTransformerConfig(id_val="sortBy", options={"fields": {}, "sort": [{"field": by}]}))
        .with_transformation(_convert(by, "string"))
        .legend(common.VizLegendOptions().show_legend(show_legend=False))
        .override_by_name("Value", [DynamicConfigValue("displayName", subject.title)])
        .targets([_instant(query)])
    )


def quantiles(histogram: Metric, matchers: str, by: str) -> list[Query]:
    """
    What one observation in two, in ten and in a hundred exceeds.

    Args:
        by: The label that each gets lines of its own for.
    """
    buckets = f"sum by (le, {by}) (rate({select(f'{histogram.name}_bucket', matchers)}[$__rate_interval]))"
    return [
        Query(f"histogram_quantile({quantile}, {buckets})", f"{{{{{by}}}}} {name}")
        for quantile, name in ((0.5, "median"), (0.9, "90 %"), (0.99, "99 %"))
    ]


def value_map(mapping: dict[int, tuple[str, str]]) -> ValueMap:
    """Shows a text in a colour instead of a number."""
    return ValueMap(
        options={
            str(value): ValueMappingResult(text=text, color=color, index=index)
            for index, (value, (text, color)) in enumerate(mapping.items())
        }
    )


def color(value: str) -> DynamicConfigValue:
    """Draws a series in one colour, for overrides."""
    return DynamicConfigValue("color", {"mode": "fixed", "fixedColor": value})


def dashed() -> list[DynamicConfigValue]:
    """Draws a series as what is wanted or allowed, next to what is."""
    return [
        DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
        DynamicConfigValue("custom.fillOpacity", 0),
    ]


def links(*titled: tuple[str, str]) -> DynamicConfigValue:
    """Where a click on a value leads, for overrides: titles and addresses."""
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


def _target(query: Query, index: int) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .datasource(DATASOURCE)
        .expr(query.expr)
        .legend_format(query.legend or "__auto")
        .editor_mode(QueryEditorMode.CODE)
        .ref_id(chr(ord("A") + index))
        .range()
    )


def _instant(query: Query) -> prometheus.Dataquery:
    return _target(query, 0).format(PromQueryFormat.TABLE).instant()


def _convert(field: str, kind: str) -> DataTransformerConfig:
    conversion = {"targetField": field, "destinationType": kind}
    return DataTransformerConfig(id_val="convertFieldType", options={"fields": {}, "conversions": [conversion]})
