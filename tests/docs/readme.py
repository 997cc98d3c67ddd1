"""
The README in parts: sections, tables, code blocks, links.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.deploy.project import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """
    A fenced block of code.

    Args:
        language: As the fence names it.
        config: The last exporter config that stands before it.
    """

    language: str
    text: str
    config: str


def blocks(language: str) -> list[Block]:
    """
    The fenced blocks of a language, in order.
    """
    found, config = [], ""
    for match in _FENCE.finditer(README):
        if match[2].startswith("sources:"):
            config = match[2]
        if match[1] == language:
            found.append(Block(match[1], match[2], config))
    return found


def prose() -> str:
    """
    The README without its code blocks.
    """
    return _FENCE.sub("", README)


def section(heading: str) -> str:
    """
    What stands under a heading, up to the next one of any level.
    """
    match = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", prose(), re.MULTILINE | re.DOTALL)
    assert match, f"no heading {heading!r}"
    return match[1]


def tables(heading: str) -> list[list[list[str]]]:
    """
    The tables under a heading, each a list of rows of cells, without its header.
    """
    found: list[list[list[str]]] = []
    within = False
    for line in section(heading).splitlines():
        if not line.startswith("|"):
            within = False
            continue
        if not within:
            found.append([])
        within = True
        found[-1].append([cell.strip() for cell in line.strip().strip("|").split(" | ")])
    return [rows[2:] for rows in found]


def code(cell: str) -> list[str]:
    """
    Whatever a cell has between backticks.
    """
    return re.findall(r"`([^`]+)`", cell)


def anchors() -> set[str]:
    """
    The places that a link may lead to: each heading as GitHub spells it in an address.
    """
    headings = (heading for _, heading in _HEADING.findall(prose()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links() -> list[str]:
    """
    Where the README's links and pictures lead.
    """
    return re.findall(r"\]\(([^)\s]+)\)", prose())
