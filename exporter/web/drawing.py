"""
The geometry of bars and sparklines, as attributes of inline SVG: the page's policy forbids inline styles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 240
HEIGHT: Final = 32
"""The box of a sparkline in its own units; the page stretches it."""

_INSET: Final = 2


@dataclass(frozen=True, slots=True)
class Sparkline:
    """
    A line through the known samples, broken where one is unknown.

    Args:
        line: Path of the line.
        area: Path of the area under it.
        reference: Height of the wanted value; ``None`` without one.
    """

    line: str
    area: str
    reference: float | None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a bar: where it begins and how long it is, as shares of the whole in percent."""

    name: str
    start: float
    length: float


def sparkline(
    values: Sequence[float | None], low: float, high: float, reference: float | None = None
) -> Sparkline | None:
    """
    A sparkline of evenly spaced samples; ``None`` while there are not two in a row to draw a line through.

    Args:
        low: The value at the bottom.
        high: The value at the top; above ``low``.
    """
    step = WIDTH / max(1, len(values) - 1)

    def y(value: float) -> float:
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return round(HEIGHT - _INSET - share * (HEIGHT - 2 * _INSET), 1)

    line, area = [], []
    for start, run in _runs(values):
        points = [f"{round((start + index) * step, 1):g} {y(value):g}" for index, value in enumerate(run)]
        line.append("M" + "L".join(points))
        end = round((start + len(run) - 1) * step, 1)
        area.append(f"M{round(start * step, 1):g} {HEIGHT}L{'L'.join(points)}L{end:g} {HEIGHT}Z")
    if not line:
        return None
    return Sparkline("".join(line), "".join(area), None if reference is None else y(reference))


def stacked(amounts: Iterable[tuple[str, int]]) -> tuple[Part, ...]:
    """Parts of one bar, one after the other; empty ones are left out."""
    shown = [(name, amount) for name, amount in amounts if amount > 0]
    total = sum(amount for _, amount in shown)
    parts, start = [], 0.0
    for name, amount in shown:
        length = 100 * amount / total
        parts.append(Part(name, round(start, 2), round(length, 2)))
        start += length
    return tuple(parts)


def percent(amount: float, whole: float) -> float:
    """An amount's share of the whole in percent, 0 to 100."""
    return round(min(100.0, max(0.0, 100 * amount / whole)), 2) if whole > 0 else 0.0


def _runs(values: Sequence[float | None]) -> Iterator[tuple[int, list[float]]]:
    run: list[float] = []
    for index, value in enumerate([*values, None]):
        if value is not None:
            run.append(value)
        elif run:
            if len(run) > 1:
                yield index - len(run), run
            run = []
