"""
The handbook: the project's README as the installed package holds it, so that it is always of the version that runs.

Runbooks stand in it, and the page links to them. It needs no network, and nobody's address.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, metadata
from itertools import pairwise
from typing import Final

from aiohttp import web
from markdown_it import MarkdownIt
from markdown_it.token import Token

from exporter.blocking import in_thread
from exporter.web.rendering import Renderer

_PACKAGE: Final = "rtc-room-exporter"
_NOT_INSTALLED: Final = (
    "The handbook comes with an installed package; this exporter runs without having been installed."
)
_NO_SLUG: Final = re.compile(r"[^\w\- ]")
_FROM_ELSEWHERE: Final = ("http://", "https://")


class Handbook:
    """Answers with the handbook; it is made of the README when it is first asked for."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._html: str | None = None
        self._making = asyncio.Lock()

    async def get(self, _request: web.Request) -> web.Response:
        async with self._making:
            if self._html is None:
                self._html = await in_thread(_make)
        return await self._renderer.page("docs.html", "./", handbook=self._html)


def html_of(markdown: str) -> str:
    """
    Markdown as HTML, its headings with the anchors that GitHub gives them.

    HTML in the text stays text. Pictures and links to files of the repository are left out, since neither is here.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    _give_anchors(tokens)
    for token in tokens:
        if token.children:
            token.children = _without_files(token.children)
    return str(parser.renderer.render(tokens, parser.options, {}))


def _make() -> str:
    try:
        texts = metadata(_PACKAGE).get_all("Description")
    except PackageNotFoundError:
        texts = None
    return html_of(texts[0] if texts else _NOT_INSTALLED)


def _give_anchors(tokens: Sequence[Token]) -> None:
    taken: dict[str, int] = {}
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline"))
            slug = _NO_SLUG.sub("", text.lower()).replace(" ", "-")
            times = taken[slug] = taken.get(slug, -1) + 1
            opening.attrSet("id", f"{slug}-{times}" if times else slug)


def _without_files(tokens: Sequence[Token]) -> list[Token]:
    kept: list[Token] = []
    dropping = False
    for token in tokens:
        if token.type == "link_open":
            href = str(token.attrGet("href") or "")
            dropping = not href.startswith(("#", *_FROM_ELSEWHERE))
        if token.type == "image" or (dropping and token.type in ("link_open", "link_close")):
            continue
        kept.append(token)
    return kept
