"""
The geometry of bars and sparklines, as attributes of inline SVG. The page's Content-Security-Policy forbids styles.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

WIDTH: Final = 240
HEIGHT: Final = 32
"""Size of a sparkline in its own units; the page scales it."""

_INSET: Final = 2


@dataclass(frozen=True, slots=True)
class Sparkline:
    """
    A line through the known samples, broken where one is unknown.

    Args:
        line: Path of the line.
        doubtful: Path of the segments that end in a doubtful sample; drawn dashed.
        area: Path of the area below both.
        reference: Height of the wanted value; ``None`` for none.
    """

    line: str
    doubtful: str
    area: str
    reference: float | None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a bar: its start and its length, in percent of the bar."""

    name: str
    start: float
    length: float


def sparkline(
    values: Sequence[float | None],
    low: float,
    high: float,
    reference: float | None = None,
    sure: Sequence[bool] | None = None,
) -> Sparkline | None:
    """
    A sparkline of evenly spaced samples; ``None`` while no two neighbouring samples are known.

    Args:
        low: Value at the bottom.
        high: Value at the top; above ``low``.
        sure: For each sample whether it is not doubtful; by default none is.
    """
    step = WIDTH / max(1, len(values) - 1)
    places = [None if value is None else (index * step, value) for index, value in enumerate(values)]
    return _line(places, WIDTH, low, high, reference, sure or [True] * len(values))


def curve(
    places: Sequence[tuple[float, float] | None], width: float, high: float, low: float = 0.0
) -> Sparkline | None:
    """
    A line through values that are not evenly spaced; broken at each ``None``.

    Args:
        places: Pairs of the distance from the left edge and the value.
        width: Distance of the right edge from the left edge.
        high: Value at the top.
        low: Value at the bottom.
    """
    return _line(places, width, low, high, None, [True] * len(places))


def height_of(value: float, high: float) -> float:
    """The height of a value in a ``curve``, in percent from the top."""
    return round(100 * (HEIGHT - _INSET - min(1.0, value / high) * (HEIGHT - 2 * _INSET)) / HEIGHT, 2)


def round_numbers(high: float) -> list[float]:
    """One to four round numbers for an axis: whole, evenly spaced, up to ``high`` (at least 1)."""
    step = max(1.0, 10.0 ** math.floor(math.log10(max(1.0, high))))
    step = next((finer for finer in (step / 5, step / 2, step, 2 * step) if finer >= 1 and high / finer < 5), step)
    return [step * number for number in range(1, int(high / step) + 1)]


def _line(
    places: Sequence[tuple[float, float] | None],
    width: float,
    low: float,
    high: float,
    reference: float | None,
    sure: Sequence[bool],
) -> Sparkline | None:
    def x(distance: float) -> str:
        return f"{round(WIDTH * distance / width, 2):g}"

    def y(value: float) -> float:
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return round(HEIGHT - _INSET - share * (HEIGHT - 2 * _INSET), 2)

    line: list[str] = []
    doubtful: list[str] = []
    area: list[str] = []
    for run in _runs(places, sure):
        points = [(f"{x(distance)} {y(value):g}", safe) for distance, value, safe in run]
        area.append(f"M{x(run[0][0])} {HEIGHT}L{'L'.join(point for point, _ in points)}L{x(run[-1][0])} {HEIGHT}Z")
        for safe, part in groupby(pairwise(points), key=lambda step: step[1][1]):
            steps = list(part)
            path = "M" + "L".join([steps[0][0][0], *(end for _, (end, _) in steps)])
            (line if safe else doubtful).append(path)
    if not area:
        return None
    return Sparkline("".join(line), "".join(doubtful), "".join(area), None if reference is None else y(reference))


def stacked(amounts: Iterable[tuple[str, int]]) -> tuple[Part, ...]:
    """The parts of one bar, one after the other, without those of amount 0."""
    shown = [(name, amount) for name, amount in amounts if amount > 0]
    total = sum(amount for _, amount in shown)
    parts, start = [], 0.0
    for name, amount in shown:
        length = 100 * amount / total
        parts.append(Part(name, round(start, 2), round(length, 2)))
        start += length
    return tuple(parts)


def percent(amount: float, whole: float) -> float:
    """The amount in percent of the whole, from 0 to 100."""
    return round(min(100.0, max(0.0, 100 * amount / whole)), 2) if whole > 0 else 0.0


def _runs(
    places: Sequence[tuple[float, float] | None], sure: Sequence[bool]
) -> Iterator[list[tuple[float, float, bool]]]:
    """Runs of two or more neighbouring known places. Each place: distance, value, whether it is sure."""
    run: list[tuple[float, float, bool]] = []
    for place, safe in [*zip(places, sure, strict=True), (None, True)]:
        if place is not None:
            run.append((*place, safe))
        elif run:
            if len(run) > 1:
                yield run
            run = []
