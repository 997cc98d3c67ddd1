"""
What the pages for readers of the code say of it is so.
"""

from __future__ import annotations

import ast
import re

import pytest
from packaging.requirements import Requirement

from exporter.metrics.pages import ROWS
from exporter.model import ROOMS_AT_A_TIME, FailureKind
from exporter.polling import budget, pace, planner, poller
from exporter.vendors.codec import Codec
from tests.deploy.project import PYPROJECT, ROOT
from tests.docs.pages import CONTRIBUTING, PAGES, code

pytestmark = pytest.mark.docs

ARCHITECTURE, PACING, ADDING = (PAGES[f"docs/{name}.md"] for name in ("architecture", "pacing", "adding-a-vendor"))


def words(text):
    """
    The names in a line, without what import-linter writes around them.
    """
    return {*re.findall(r"\w+", text)}


def test_every_part_of_the_house_is_drawn():
    """
    Each module and package at the top of `exporter/`, and nothing that is not there.
    """
    drawing, _ = ARCHITECTURE.blocks("text")
    drawn = {line.split()[0] for line in drawing.text.splitlines()[1:]}
    parts = {path.name + "/" * path.is_dir() for path in (ROOT / "exporter").iterdir() if path.suffix in ("", ".py")}

    assert parts - {"__init__.py", "__pycache__/"} == drawn


def test_the_floors_are_those_that_import_linter_holds():
    """
    The same modules on the same floor, from top to bottom.
    """
    _, drawing = ARCHITECTURE.blocks("text")
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    (layers,) = [each["layers"] for each in contracts if each.get("containers") == ["exporter"]]

    assert [words(layer) for layer in layers if layer != "(__main__)"] == [*map(words, drawing.text.splitlines())]


def test_every_library_has_its_reason():
    """
    What is installed with the exporter is in the table, and nothing else is.
    """
    named = {name.strip() for row in ARCHITECTURE.tables("Libraries")[0] for name in row[0].split(",")}

    assert {Requirement(line).name.lower() for line in PYPROJECT["project"]["dependencies"]} == {
        name.lower() for name in named
    }


def test_every_failure_has_its_consequences():
    """
    The table on failures has each kind once.
    """
    assert {*FailureKind} == {code(row[0])[0] for row in ARCHITECTURE.tables("What a failure means")[0]}


def test_the_sizes_of_steps_are_those_of_the_code():
    """
    Rooms at a time in a roster's change, and rows of a page.
    """
    text = " ".join(ARCHITECTURE.section("The walk of a room").split())

    assert f"{ROOMS_AT_A_TIME} rooms at a time" in text
    assert f"pages of {ROWS:,} rows" in text


def test_everything_that_a_codec_has_is_told():
    """
    Attributes and methods of the seam that a new API implements.
    """
    members = {name for name in vars(Codec) if not name.startswith("_")} | Codec.__annotations__.keys()

    assert members == {name for row in ADDING.tables("The codec")[0] for name in code(row[0])}


@pytest.mark.parametrize(
    "said",
    [
        f"The period is {1 + pace.ALLOWED_DELAY + pace._SPARE:.3f} s",
        f"One more call may leave {1 + pace.ALLOWED_DELAY:.3f} s after the N-th last",
        f"for at most {pace._CATCH_UP * 1000:.0f} ms",
        f"The slots are {pace._SPARE * 1000:.0f} ms slower than the log allows",
        f"{pace.pace_kept(10) / 10:.1%} of the limit".replace("%", " %"),
        f"and {pace._UNNOTICED * 1000:.0f} ms at least",
        f"so it counts as written {(0.220 - pace._UNNOTICED) * 1000:.0f} ms later",
        f"Calls of the first {pace._COLD:g} s",
        f"without a reply for {budget._CHECKED_AFTER * 1000:.0f} ms",
        f"longer than {pace._HOLDS_AFTER:g} s is always taken to be cut",
        f"(up to {poller._FIRST_BACKOFF:g} s, then up to {2 * poller._FIRST_BACKOFF:g} s",
        f"If a timer fires more than {budget._STALL * 1000:.0f} ms late",
        f"no rejection for {pace._FAST_CLIMB:.0f} s, and it is below {pace._CEILING:g} × the rejected pace",
        f"no rejection for {pace._SLOW_CLIMB / 60:.0f} min",
        f"up to {pace._LONGEST_PAUSE / 60:.0f} minutes",
        f"*ticks*, {budget._TICKS[0] * 1000:.0f} ms apart",
        "ticks are {:.0f} or {:.0f} ms apart".format(*(1000 * tick for tick in budget._TICKS[1:])),
        f"up to {planner._PUSH:.0%} of an interval".replace("%", " %"),
    ],
)
def test_the_figures_of_the_pacing_are_those_of_the_code(said):
    """
    Whoever tunes a figure in the code finds the page that tells it.
    """
    assert said in " ".join(PACING.text.split())


def test_the_worked_example_is_what_the_pace_does():
    """
    Slots, writes and the moments from which the log is open, in milliseconds, of a limit of 10 calls per second.
    """
    pacer = pace.Pace(10, now=-2.0)
    rows = []
    for number in range(13):
        slot = max(pacer.slot_at(0), 0.0)
        opens = pacer.open_at()
        write = slot + (0.060 if number == 11 else 0.0)
        if number >= 10:
            rows.append((slot, write, pacer._log[-10].at, opens))
        pacer.sent(write, due=slot)

    shown = [
        tuple(round(float(re.sub(r"[, ms]", "", cell)) / 1000, 4) for cell in row[1:])
        for row in PACING.tables("Worked example")[0]
    ]
    assert shown == [tuple(round(moment, 4) for moment in row) for row in rows]


def test_every_marker_is_told():
    """
    What pytest knows of is in the table for those who write tests.
    """
    markers = [re.match(r"\w+", line)[0] for line in PYPROJECT["tool"]["pytest"]["ini_options"]["markers"]]  # type: ignore[index]

    assert {*markers} == {code(row[0])[0] for row in CONTRIBUTING.tables("Tests")[1]}


def test_the_functions_that_the_walk_names_are_there():
    """
    Classes and methods that the walks name exist, so that a reader finds them.
    """
    defined = {
        node.name
        for path in (ROOT / "exporter").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }
    named = {
        part
        for heading in ("The walk of a room", "The walk of a call", "How rooms come and go", "How a reload goes")
        for name in code(ARCHITECTURE.section(heading))
        if re.fullmatch(r"(\w+\.)?[A-Z]\w+(\.\w+)?", name)
        for part in name.split(".")
        if part[0].isupper() or name[0].isupper()
    }

    assert named <= defined
