"""
The handbook under ``/docs``: the README and the pages of ``docs/``, as they were when the exporter was installed.

The wheel carries the Markdown files beside this package, so the handbook is always of the version that runs, and needs
no network. In a clone, the files of the clone are served. Runbooks are a page of it, and the status page and alerts
link to them.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import pairwise
from pathlib import Path
from typing import Final

from aiohttp import web
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.token import Token

from exporter.blocking import in_thread
from exporter.web.rendering import Renderer

_INSTALLED: Final[Traversable] = resources.files("exporter").joinpath("docs")
_CLONE: Final[Traversable] = Path(__file__).resolve().parents[2]
_README: Final = "README.md"
_FRONT: Final = ""
_NO_SLUG: Final = re.compile(r"[^\w\- ]")
_OURS: Final = re.compile(r"(?:\.\./)?(?P<readme>README\.md)|(?:docs/)?(?P<page>[\w-]+)\.md")
_LONG_NAME: Final = re.compile(r"\S{25,}")
_BREAKABLE: Final = re.compile(r"(?<=[_/])(?=\w)")
_LISTED: Final = re.compile(r"\]\(docs/([\w-]+)\.md\)")
_FROM_ELSEWHERE: Final = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class Rendered:
    """
    One page of the handbook.

    Args:
        title: Its first heading.
        html: Its text, ready to be shown.
    """

    title: str
    html: str


class Handbook:
    """Answers with pages of the handbook. Each is made when it is first asked for, and kept."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._made: dict[str, Rendered] = {}
        self._contents: Sequence[tuple[str, str]] = ()

    async def front(self, _request: web.Request) -> web.Response:
        """The README."""
        return await self._answer(_FRONT, "./")

    async def get(self, request: web.Request) -> web.Response:
        """A page of ``docs/``."""
        return await self._answer(request.match_info["page"], "../")

    async def _answer(self, name: str, root: str) -> web.Response:
        page = self._made.get(name)
        if page is None:
            page = self._made[name] = await in_thread(partial(_make, name))
            self._contents = self._contents or await in_thread(contents)
        return await self._renderer.page("docs.html", root, page=page, name=name, contents=self._contents)


def pages() -> dict[str, Traversable]:
    """Every page of the handbook by its name, the README by none; nothing where neither files nor clone are. Blocks."""
    folder, readme = _INSTALLED, _INSTALLED.joinpath(_README)
    if not readme.is_file():
        folder, readme = _CLONE.joinpath("docs"), _CLONE.joinpath(_README)
    if not readme.is_file() or not folder.is_dir():
        return {}
    files = [file for file in folder.iterdir() if file.name.endswith(".md") and file.name != _README]
    return {_FRONT: readme, **{file.name.removesuffix(".md"): file for file in files}}


def contents() -> Sequence[tuple[str, str]]:
    """Name and title of every page, in the order in which the README lists them at its end. Blocks."""
    known = pages()
    listed = _LISTED.findall(known.pop(_FRONT).read_text(encoding="utf-8"))
    place = {name: number for number, name in enumerate(listed)}
    titles = {name: file.read_text(encoding="utf-8").partition("\n")[0].strip("# ") for name, file in known.items()}
    return sorted(titles.items(), key=lambda entry: place.get(entry[0], len(place)))


def render(markdown: str, known: Container[str], *, is_front: bool) -> Rendered:
    """
    Markdown as HTML, its headings with the anchors that GitHub gives them.

    HTML in the text stays text. Links to other pages of the handbook lead there. Pictures and links to other files of
    the repository are left out, since neither is here.

    Args:
        known: The names of all pages.
        is_front: Whether this is the README. Its address is ``docs``; that of another page is ``docs/name``.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("code_inline", _code)
    tokens = parser.parse(markdown)
    headings = _give_anchors(tokens)
    _label_cells(tokens)
    for token in tokens:
        if token.children:
            token.children = _with_links(token.children, known, is_front=is_front)
    return Rendered(headings[0] if headings else "", str(parser.renderer.render(tokens, parser.options, {})))


def _make(name: str) -> Rendered:
    known = pages()
    if name not in known:
        raise web.HTTPNotFound
    return render(known[name].read_text(encoding="utf-8"), known, is_front=name == _FRONT)


def _give_anchors(tokens: Sequence[Token]) -> list[str]:
    headings: list[str] = []
    taken: dict[str, int] = {}
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline"))
            slug = _NO_SLUG.sub("", text.lower()).replace(" ", "-")
            times = taken[slug] = taken.get(slug, -1) + 1
            opening.attrSet("id", f"{slug}-{times}" if times else slug)
            headings.append(text)
    return headings


def _label_cells(tokens: Sequence[Token]) -> None:
    """Give each cell of a table its column's heading, for narrow screens on which a row is a card."""
    labels: list[str] = []
    column = 0
    for opening, inline in pairwise(tokens):
        if opening.type == "table_open":
            labels = []
        elif opening.type == "tr_open":
            column = 0
        elif opening.type == "th_open":
            labels.append(inline.content.strip("`"))
        elif opening.type == "td_open":
            if column and len(labels) > 2:
                opening.attrSet("data-label", labels[column])
            column += 1


def _code(_renderer: object, tokens: Sequence[Token], index: int, _options: object, _env: object) -> str:
    """Inline code, whose long names may be broken where a person would break them."""
    text = escapeHtml(tokens[index].content)
    return f"<code>{_LONG_NAME.sub(lambda name: _BREAKABLE.sub('<wbr>', name[0]), text)}</code>"


def _with_links(tokens: Sequence[Token], known: Container[str], *, is_front: bool) -> list[Token]:
    kept: list[Token] = []
    dropping = False
    for token in tokens:
        if token.type == "link_open":
            address = _address(str(token.attrGet("href") or ""), known, is_front=is_front)
            dropping = address is None
            token.attrSet("href", address or "")
        if token.type == "image" or (dropping and token.type in ("link_open", "link_close")):
            continue
        kept.append(token)
    return kept


def _address(link: str, known: Container[str], *, is_front: bool) -> str | None:
    """Where a link of the Markdown leads when a page is served; ``None`` if nowhere."""
    if link.startswith(("#", *_FROM_ELSEWHERE)):
        return link
    path, hash_, anchor = link.partition("#")
    ours = _OURS.fullmatch(path)
    if ours is None:
        return None
    if ours["readme"]:
        return ("" if is_front else "../docs") + hash_ + anchor
    if ours["page"] not in known:
        return None
    return ("docs/" if is_front else "") + ours["page"] + hash_ + anchor
