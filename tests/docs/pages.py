"""
The documents in parts: sections, tables, code blocks, links.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from tests.deploy.project import ROOT

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """
    A fenced block of code.

    Args:
        language: As the fence names it.
        config: The last exporter config that stands before it on its page.
    """

    language: str
    text: str
    config: str


@dataclass(frozen=True)
class Page:
    """
    One Markdown file.

    Args:
        path: Relative to the top of the tree.
    """

    path: str

    def __str__(self) -> str:
        return self.path

    @cached_property
    def text(self) -> str:
        """
        All of it.
        """
        return (ROOT / self.path).read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """
        The page without its code blocks.
        """
        return _FENCE.sub("", self.text)

    def blocks(self, language: str = "") -> list[Block]:
        """
        The fenced blocks of a language, or of all languages, in order.
        """
        found, config = [], ""
        for match in _FENCE.finditer(self.text):
            if match[2].startswith("sources:"):
                config = match[2]
            if language in ("", match[1]):
                found.append(Block(match[1], match[2], config))
        return found

    def section(self, heading: str) -> str:
        """
        What stands under a heading, up to the next one of any level.
        """
        match = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", self.prose, re.MULTILINE | re.DOTALL)
        assert match, f"no heading {heading!r} in {self.path}"
        return match[1]

    def tables(self, heading: str) -> list[list[list[str]]]:
        """
        The tables under a heading, each a list of rows of cells, without its header.
        """
        found: list[list[list[str]]] = []
        within = False
        for line in self.section(heading).splitlines():
            if not line.startswith("|"):
                within = False
                continue
            if not within:
                found.append([])
            within = True
            found[-1].append([cell.strip() for cell in line.strip().strip("|").split(" | ")])
        return [rows[2:] for rows in found]

    def headings(self) -> list[str]:
        """
        Every heading, in order.
        """
        return [heading for _, heading in _HEADING.findall(self.prose)]

    def anchors(self) -> set[str]:
        """
        The places that a link may lead to: each heading as GitHub spells it in an address.
        """
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in self.headings()}

    def links(self) -> list[str]:
        """
        Where the page's links and pictures lead.
        """
        return re.findall(r"\]\(([^)\s]+)\)", self.prose)


def code(cell: str) -> list[str]:
    """
    Whatever a cell has between backticks.
    """
    return re.findall(r"`([^`]+)`", cell)


_SERVED = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
SERVED = {path: Page(path) for path in _SERVED}
"""What an exporter serves under /docs."""

PAGES = {**SERVED, "CONTRIBUTING.md": Page("CONTRIBUTING.md")}
"""Every document that people read, by its path."""

README = PAGES["README.md"]
ALERTING, CONFIGURATION, FIRST_STEPS, HTTP, METRICS, OPERATIONS, PROMQL, RUNBOOKS, SIMULATOR, TROUBLESHOOTING = (
    PAGES[f"docs/{name}.md"]
    for name in (
        "alerting",
        "configuration",
        "first-steps",
        "http",
        "metrics",
        "operations",
        "promql",
        "runbooks",
        "simulator",
        "troubleshooting",
    )
)
CONTRIBUTING = PAGES["CONTRIBUTING.md"]
