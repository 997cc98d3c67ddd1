"""
What a panel reads: values in the panel's unit, words and colour, with the name under which they are shown.

It does what Grafana does with the few options that our panels use, and nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from grafana.generator.expressions import interpolate

Vector = list[tuple[dict[str, str], float]]
Ask = Callable[[str], Vector]
"""Answers an expression at the moment of reading."""

ROWS = 3
"""How many rows of a table are read; of the others there is only the number."""


def read(panel: Mapping[str, Any], values: Mapping[str, str], moment: float, ask: Ask) -> list[str]:
    """
    What a panel shows at a moment; of a graph, what stands at its right edge.

    Args:
        values: Chosen values by variable.
    """
    answers = [ask(interpolate(target["expr"], values)) for target in panel["targets"]]
    shown = _table(panel, answers, moment) if panel["type"] == "table" else _values(panel, answers, moment)
    return shown or [panel["fieldConfig"]["defaults"]["noValue"]]


def _values(panel: Mapping[str, Any], answers: Iterable[Vector], moment: float) -> list[str]:
    legends = [target["legendFormat"] for target in panel["targets"]]
    found = []
    for legend, answer in zip(legends, answers, strict=True):
        for labels, value in answer:
            name = re.sub(r"{{(\w+)}}", partial(_label, labels), legend).strip()
            name = labels.get(panel["options"].get("xField", ""), name)
            shown = _cell(_options(panel, name), value, moment, colored=panel["type"] == "stat")
            found.append(f"{name}: {shown}" if name else shown)
    return found if panel["type"] == "stat" else sorted(found)


def _table(panel: Mapping[str, Any], answers: list[Vector], moment: float) -> list[str]:
    fields = ["Value"] if len(answers) == 1 else [f"Value #{target['refId']}" for target in panel["targets"]]
    rows: dict[tuple[tuple[str, str], ...], dict[str, str | float]] = {}
    for field, answer in zip(fields, answers, strict=True):
        for labels, value in answer:
            rows.setdefault(tuple(sorted(labels.items())), dict(labels))[field] = value
    places = next(one["options"]["indexByName"] for one in panel["transformations"] if one["id"] == "organize")
    columns = [
        name for name in sorted(places, key=places.__getitem__) if not _options(panel, name).get("custom.hidden")
    ]
    columns += sorted({name for row in rows.values() for name in row} - {*places, "__name__"} - _hidden(panel))
    ordered = [row for _, row in sorted(rows.items())]
    for order in reversed(panel["options"]["sortBy"]):
        shown_as = {_options(panel, field).get("displayName"): field for field in fields}
        ordered.sort(
            key=partial(_value, shown_as.get(order["displayName"], order["displayName"])), reverse=order["desc"]
        )
    lines = [
        " | ".join(
            _cell(_options(panel, name), value, moment, colored="custom.cellOptions" in _options(panel, name))
            for name, value in ((name, row.get(name, "")) for name in columns)
        )
        for row in ordered
    ]
    return lines if len(lines) <= ROWS + 1 else [*lines[:ROWS], f"and {len(lines) - ROWS} more"]


def _label(labels: Mapping[str, str], match: re.Match[str]) -> str:
    return labels.get(match[1], "")


def _value(name: str, row: Mapping[str, str | float]) -> Any:
    return row.get(name, 0)


def _hidden(panel: Mapping[str, Any]) -> set[str]:
    overridden = (one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"])
    return {name for name in overridden if _options(panel, name).get("custom.hidden")}


def _options(panel: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A field's options: the panel's, and those for fields of this name."""
    options = dict(panel["fieldConfig"]["defaults"])
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"] == {"id": "byName", "options": name}:
            options |= {one["id"]: one["value"] for one in override["properties"]}
    return options


def _cell(options: Mapping[str, Any], value: float | str, moment: float, *, colored: bool) -> str:
    if isinstance(value, str):
        return value
    for mapping in options.get("mappings") or ():
        if shown := mapping["options"].get(f"{value:g}"):
            return f"{shown['text']} ({shown['color']})"
    text = _in_unit(value, options["unit"], moment)
    return f"{text} ({_color(options['thresholds']['steps'], value)})" if colored else text


def _in_unit(value: float, unit: str, moment: float) -> str:
    if math.isnan(value):
        return "NaN"
    match unit:
        case "locale":
            return f"{value:,.10g}"
        case "percentunit":
            return f"{100 * value:.4g} %"
        case "s":
            return f"{value:.4g} s"
        case "reqps":
            return f"{value:.3g}/s"
        case "bytes":
            return f"{value / 1024:.4g} KiB"
        case "dateTimeFromNow":
            return f"{(moment - value / 1000) / 60:g} minutes ago"
    assert unit.startswith("suffix:"), unit
    return f"{value:.3g} {unit.removeprefix('suffix:')}"


def _color(steps: Iterable[Mapping[str, Any]], value: float) -> str:
    return [str(step["color"]) for step in steps if step["value"] is None or value >= step["value"]][-1]
