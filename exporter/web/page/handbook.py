"""
The handbook under ``/docs``: the README and the pages of ``docs/``, rendered from Markdown.

The wheel contains the Markdown files, so the handbook always describes the running version and needs no network. In a
clone, the clone's files are served. The runbooks are a page of the handbook; the status page and alerts link to it.
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
from exporter.web.page.rendering import Renderer

_INSTALLED: Final[Traversable] = resources.files("exporter").joinpath("docs")
_CLONE: Final[Traversable] = Path(__file__).resolve().parents[3]
_README: Final = "README.md"
_FRONT: Final = ""
_NO_SLUG: Final = re.compile(r"[^\w\- ]")
_OURS: Final = re.compile(r"(?:\.\./)?(?P<readme>README\.md)|(?:docs/)?(?P<page>[\w-]+)\.md")
_NAME: Final = re.compile(r"\S+")
_LONGEST_WHOLE: Final = 24
_BREAKABLE: Final = re.compile(r"(?<=[_/])(?=\w)")
_LISTED: Final = re.compile(r"(?m)^\| \[[^]]+\]\(docs/([\w-]+)\.md\)")
_FROM_ELSEWHERE: Final = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class Rendered:
    """
    One rendered page of the handbook.

    Args:
        title: The first heading.
        html: The whole text.
    """

    title: str
    html: str


class Handbook:
    """The handlers of the handbook. A page is rendered at the first request for it, and kept."""

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
    """All pages by name; the README has the empty name. Empty without a wheel or a clone. Blocks."""
    folder, readme = _INSTALLED, _INSTALLED.joinpath(_README)
    if not readme.is_file():
        folder, readme = _CLONE.joinpath("docs"), _CLONE.joinpath(_README)
    if not readme.is_file() or not folder.is_dir():
        return {}
    files = [file for file in folder.iterdir() if file.name.endswith(".md") and file.name != _README]
    return {_FRONT: readme, **{file.name.removesuffix(".md"): file for file in files}}


def contents() -> Sequence[tuple[str, str]]:
    """Name and title of every page, in the order of the list at the end of the README. Blocks."""
    known = pages()
    listed = _LISTED.findall(known.pop(_FRONT).read_text(encoding="utf-8"))
    place = {name: number for number, name in enumerate(listed)}
    titles = {name: file.read_text(encoding="utf-8").partition("\n")[0].strip("# ") for name, file in known.items()}
    return sorted(titles.items(), key=lambda entry: place.get(entry[0], len(place)))


def render(markdown: str, known: Container[str], *, is_front: bool) -> Rendered:
    """
    Render Markdown as HTML. Headings get the same anchors as on GitHub.

    HTML in the text is escaped. Links between pages of the handbook are adapted. Pictures and links to other files of
    the repository are left out: neither is installed.

    Args:
        known: Names of all pages.
        is_front: Whether this is the README. Its address is ``docs``; the address of another page is ``docs/name``.
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
    """Put the column's heading on each cell of a table: on narrow screens a row is shown as a card."""
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
    """Inline code. A long name may be broken behind `_` and `/`, a short one nowhere, not even at a hyphen."""
    return f"<code>{_NAME.sub(_name, escapeHtml(tokens[index].content))}</code>"


def _name(found: re.Match[str]) -> str:
    name = found[0]
    if len(name) > _LONGEST_WHOLE:
        return _BREAKABLE.sub("<wbr>", name)
    return f'<span class="whole">{name}</span>' if "-" in name else name


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
    """The address of a link on the served page; ``None`` if its target is not served."""
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
