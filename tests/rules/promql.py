"""
What a PromQL expression names, held against what there is: the catalogue, the recorded series, Prometheus' own ``up``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import yaml
from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    LabelModifierType,
    MatchOp,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorMatchCardinality,
    VectorSelector,
)

from exporter.metrics.catalogue import CATALOGUE, Metric

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules"
TARGET = frozenset({"job", "instance"})
"""Labels that every target has; a series may have more, which no rule or panel may count on."""

POD = frozenset({"pod"})
"""A label that many targets have, for aggregations to do without."""

Labels = frozenset[str]


class UnknownNameError(Exception):
    """
    An expression names a series or a label that nobody publishes.
    """


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """
    Every series that may be asked for, and its labels.
    """

    series: Mapping[str, Labels]

    def labels(self, promql: str) -> Labels:
        """
        The labels of the expression's result.

        Raises:
            UnknownNameError: It names a series or a label that is not there.
            ValueError: It is not PromQL.
        """
        return self._of(promql_parser.parse(promql))

    def _of(self, expr: Expr) -> Labels:
        match expr:
            case VectorSelector():
                return self._of_selector(expr)
            case MatrixSelector():
                return self._of_selector(expr.vector_selector)
            case ParenExpr() | SubqueryExpr() | UnaryExpr():
                return self._of(expr.expr)
            case NumberLiteral() | StringLiteral():
                return frozenset()
            case Call():
                return self._of_call(expr)
            case AggregateExpr():
                return self._of_aggregate(expr)
            case BinaryExpr():
                return self._of_binary(expr)
        raise NotImplementedError(type(expr).__name__)

    def _of_selector(self, selector: VectorSelector) -> Labels:
        if selector.name is None or selector.name not in self.series:
            raise UnknownNameError(f"series {selector.name}")
        return _within(self.series[selector.name], [matcher.name for matcher in selector.matchers.matchers])

    def _of_call(self, call: Call) -> Labels:
        vectors = [self._of(argument) for argument in call.args]
        labels = frozenset[str]().union(*vectors)
        match call.func.name:
            case "label_replace":
                return labels | {call.args[1].val}
            case "histogram_quantile":
                return _within(labels, ["le"]) - {"le"}
            case "absent":
                matchers = call.args[0].matchers.matchers
                return frozenset(matcher.name for matcher in matchers if matcher.op == MatchOp.Equal)
        return labels

    def _of_aggregate(self, aggregate: AggregateExpr) -> Labels:
        inner = self._of(aggregate.expr)
        named = aggregate.modifier.labels if aggregate.modifier else []
        without = aggregate.modifier is not None and aggregate.modifier.type == AggModifierType.Without
        _within(inner | POD if without else inner, named)
        match str(aggregate.op):
            case "topk" | "bottomk":
                return inner
            case "count_values" if aggregate.param is not None:
                added = frozenset({aggregate.param.val})
            case _:
                added = frozenset()
        return (inner - set(named) if without else frozenset(named)) | added

    def _of_binary(self, binary: BinaryExpr) -> Labels:
        left, right = self._of(binary.lhs), self._of(binary.rhs)
        card, matching = VectorMatchCardinality.OneToOne, None
        if binary.modifier:
            card, matching = binary.modifier.card, binary.modifier.matching
        if matching:
            _within(left | right, matching.labels)
        if matching and matching.type == LabelModifierType.Include:
            _within(left & right, matching.labels)
        match str(binary.op), card:
            case "or", _:
                ignored = matching.labels if matching and matching.type == LabelModifierType.Exclude else []
                return (left & right or left | right) | (left | right) & set(ignored)
            case ("and" | "unless", _) | (_, VectorMatchCardinality.ManyToOne):
                return left
            case _, VectorMatchCardinality.OneToMany:
                return right
        if matching and matching.type == LabelModifierType.Include:
            return frozenset(matching.labels)
        apart = (left ^ right) - set(matching.labels if matching else [])
        if left and right and apart:
            raise UnknownNameError(f"labels {sorted(apart)} on one side only")
        return left | right


def _within(labels: Labels, named: list[str]) -> Labels:
    if unknown := set(named) - labels:
        raise UnknownNameError(f"labels {sorted(unknown)}, where there are {sorted(labels)}")
    return labels


def selectors(promql: str) -> list[VectorSelector]:
    """
    Every selector of series in an expression.
    """
    found = []

    def visit(node: Expr) -> None:
        if isinstance(node, VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(promql), visit)
    return found


def rules(file: str) -> list[dict[str, Any]]:
    """
    All rules of one of our files, over its groups.
    """
    groups = yaml.safe_load((RULES / file).read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@cache
def published() -> Vocabulary:
    """
    What the exporter publishes, and Prometheus beside it. An alert in ``ALERTS`` may have any label of ours.
    """
    series = {name: labels for metric in CATALOGUE for name, labels in _series(metric)}
    alerts = _every_label() | {"alertname", "alertstate"}
    prometheus = {"up": TARGET, "ALERTS": alerts, "ALERTS_FOR_STATE": alerts}
    return Vocabulary(series | {"process_start_time_seconds": TARGET} | prometheus)


@cache
def published_and_recorded() -> Vocabulary:
    """
    The same, and what our rules record. A rule may build on what it recorded in the round before.
    """
    known = dict(published().series)
    for file in ("alerts.yml", "recording.yml"):
        for rule in rules(file):
            if name := rule.get("record"):
                known[name] = _every_label()
                known[name] = Vocabulary(known).labels(rule["expr"]) | set(rule.get("labels", ()))
    return Vocabulary(known)


def _every_label() -> Labels:
    return TARGET.union(*(metric.labels for metric in CATALOGUE))


def _series(metric: Metric) -> list[tuple[str, Labels]]:
    labels = TARGET | set(metric.labels)
    if metric.type == "histogram":
        parts = {"bucket": labels | {"le"}, "sum": labels, "count": labels}
        return [(f"{metric.name}_{part}", its_labels) for part, its_labels in parts.items()]
    return [(metric.name, labels)]
