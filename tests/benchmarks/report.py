"""A row of the table: ours beside a peer, the bar, and whether we clear it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """
    One measured figure.

    Args:
        unit: "s", "B", "%", or a word that follows the number.
        peer: Who is compared; empty for a figure that stands alone.
        ratio: The peer's figure in ours, or ours in the peer's, as the bar reads.
        passed: ``None``: there is no bar.
    """

    bench: str
    what: str
    ours: float
    unit: str
    peer: str = ""
    theirs: float | None = None
    ratio: float | None = None
    bar: str = ""
    passed: bool | None = None


def information(bench: str, what: str, ours: float, unit: str, peer: str = "", theirs: float | None = None) -> Row:
    """A figure without a bar."""
    ratio = theirs / ours if theirs is not None and ours else None
    return Row(bench, what, ours, unit, peer, theirs, ratio)


def times_less(bench: str, what: str, ours: float, unit: str, peer: str, theirs: float, times: float) -> Row:
    """Ours must be so many times less than the peer's."""
    ratio = theirs / ours if ours else math.inf
    return Row(bench, what, ours, unit, peer, theirs, ratio, f"≥ {times:g} × less", ratio >= times)


def share_of(bench: str, what: str, ours: float, unit: str, peer: str, theirs: float, share: float) -> Row:
    """Ours must be at most that share of the peer's."""
    ratio = ours / theirs if theirs else math.inf
    return Row(bench, what, ours, unit, peer, theirs, ratio, f"≤ {share:g} × theirs", ratio <= share)


def at_most(
    bench: str, what: str, ours: float, unit: str, most: float, peer: str = "", theirs: float | None = None
) -> Row:
    """Ours has an upper bound."""
    return Row(bench, what, ours, unit, peer, theirs, bar=f"≤ {shown(most, unit)}", passed=ours <= most)


def at_least(
    bench: str, what: str, ours: float, unit: str, least: float, peer: str = "", theirs: float | None = None
) -> Row:
    """Ours has a lower bound."""
    return Row(bench, what, ours, unit, peer, theirs, bar=f"≥ {shown(least, unit)}", passed=ours >= least)


def broken(bench: str, error: Exception) -> Row:
    """A bench that did not come to its end."""
    return Row(bench, f"ended early: {error!r}".replace("|", "/").replace("\n", " ")[:200], math.nan, "", passed=False)


def growth(bench: str, what: str, rooms: int, ours: float, few: int, theirs: float, times: float) -> Row:
    """The cost at a larger number of rooms must be at most so many times the one at a smaller number."""
    ratio = ours / theirs
    what, peer = f"{rooms:,} rooms: {what}", f"ours, {few:,} rooms"
    return Row(bench, what, ours, "s", peer, theirs, ratio, f"≤ {times:g} × theirs", ratio <= times)


def shown(value: float, unit: str) -> str:
    """A figure as people read it: three digits, and a unit that suits its size."""
    match unit:
        case "s" if abs(value) < 1e-3:
            return f"{_digits(value * 1e6)} µs"
        case "s" if abs(value) < 1:
            return f"{_digits(value * 1e3)} ms"
        case "B" if abs(value) >= 1e6:
            return f"{_digits(value / 1e6)} MB"
        case "B" if abs(value) >= 1e4:
            return f"{_digits(value / 1e3)} kB"
        case "%":
            return f"{value:.1f} %"
    return f"{_digits(value)} {unit}".rstrip()


def _digits(value: float) -> str:
    if math.isnan(value):
        return "–"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def markdown(rows: Iterable[Row]) -> str:
    """The rows as one Markdown table."""
    lines = [
        "| bench | measured | ours | peer | theirs | ratio | bar | |",
        "|---|---|---:|---|---:|---:|---|---|",
    ]
    for row in rows:
        cells = (
            row.bench,
            row.what,
            shown(row.ours, row.unit),
            row.peer or "–",
            "–" if row.theirs is None else shown(row.theirs, row.unit),
            "–" if row.ratio is None else f"{_digits(row.ratio)} ×",
            row.bar or "–",
            {True: "pass", False: "**FAIL**", None: ""}[row.passed],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def raw(rows: Iterable[Row]) -> str:
    """Every figure as it was measured, in seconds, bytes or the unit of the table, a line each."""
    return "\n".join(f"{row.bench}\t{row.what}\t{row.peer}\t{row.ours!r}\t{row.theirs!r}" for row in rows)


def missed(rows: Iterable[Row]) -> Sequence[Row]:
    """The rows whose bar is not cleared."""
    return [row for row in rows if row.passed is False]
