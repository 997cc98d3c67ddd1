"""
All expressions of the committed dashboards, with variables replaced as Grafana replaces them.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from grafana.generator.dashboards import FOLDER

BUILT_IN: Final[Mapping[str, str]] = {"__rate_interval": "1m", "__interval": "15s", "__range": "1h"}
"""Built-in variables. Grafana computes them from time range, panel width and scrape interval."""

_VARIABLE: Final = re.compile(r"\$\{(?P<braced>\w+)(?::(?P<format>\w+))?\}|\$(?P<plain>\w+)")
_SPECIAL: Final = re.compile(r"[\\^$*+?.()|[\]{}/]")
_VARIABLE_QUERY: Final = re.compile(r"query_result\((?P<result>.+)\)|label_values\((?P<selector>.+), (?P<label>\w+)\)")


@dataclass(frozen=True, slots=True)
class Expression:
    """
    One expression of one dashboard.

    Args:
        dashboard: File name of the dashboard, without suffix.
        place: Title of the panel and letter of the query, or name of the variable.
        promql: The expression, with variables replaced.
        instant: Whether it is an instant query, not a range query.
    """

    dashboard: str
    place: str
    promql: str
    instant: bool


def expressions(values: Mapping[str, str] | None = None) -> list[Expression]:
    """
    All expressions of all dashboards.

    Args:
        values: Chosen values by variable. A variable without a chosen value matches everything.

    Raises:
        KeyError: A dashboard uses a variable that it does not have.
        ValueError: A dashboard uses a format of a variable that is not supported here.
    """
    return [
        expression
        for path in sorted(FOLDER.glob("*.json"))
        for expression in _of_dashboard(path.stem, json.loads(path.read_text(encoding="utf-8")), values or {})
    ]


def interpolate(expr: str, values: Mapping[str, str] | None = None) -> str:
    """
    One expression with its variables replaced as Grafana would replace them.

    Args:
        values: Chosen values by variable. A variable without a chosen value matches everything.

    Raises:
        ValueError: A variable has a format that is not supported here.
    """
    chosen = {key: escape_regex(value) for key, value in (values or {}).items()}
    return _interpolate(expr, defaultdict(lambda: ".*", {**BUILT_IN, "room_filter": "", **chosen}))


def _of_dashboard(name: str, dashboard: Mapping[str, Any], values: Mapping[str, str]) -> Iterator[Expression]:
    variables = dashboard["templating"]["list"]
    chosen = dict(BUILT_IN) | {v["name"]: "" if v["type"] == "textbox" else ".*" for v in variables}
    chosen |= {key: escape_regex(value) for key, value in values.items()}
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            place = f"{panel['title']} {target['refId']}"
            yield Expression(name, place, _interpolate(target["expr"], chosen), bool(target.get("instant")))
    for variable in variables:
        if variable["type"] == "query" and (query := _VARIABLE_QUERY.fullmatch(variable["query"]["query"])):
            promql = query["result"] or query["selector"]
            yield Expression(name, f"variable {variable['name']}", _interpolate(promql, chosen), instant=True)


def escape_regex(value: str) -> str:
    """A regular expression that matches exactly this text, as Grafana's format ``regex`` writes it."""
    return _SPECIAL.sub(r"\\\g<0>", value)


def _interpolate(expr: str, chosen: Mapping[str, str]) -> str:
    def replacement(match: re.Match[str]) -> str:
        if match["format"] not in {"regex", None} or (match["format"] is None) != (match["plain"] in BUILT_IN):
            raise ValueError(f"{match[0]}: variables are used as ${{name:regex}}, between backticks")
        return chosen[match["braced"] or match["plain"]]

    return _VARIABLE.sub(replacement, expr)
