"""
What a page says, for tests to compare.
"""

from __future__ import annotations

from exporter.model import Room, Thresholds
from tests.web.page.html import Element, Html
from tests.web.site import Site


async def page(site: Site, path: str = "/", status: int = 200) -> Html:
    """
    The parsed page.
    """
    response, body = await site.get(path)
    assert (status, "text/html; charset=utf-8") == (response.status, response.headers["Content-Type"])
    return Html(body.decode())


def text(element: Element) -> str:
    """
    An element's text with single spaces.
    """
    return " ".join(element.text.split())


def said(html: Html) -> str:
    """
    The verdict: its headline and what stands below.
    """
    return text(html.find("section", id="verdict")[0])


def items(html: Html) -> list[str]:
    """
    What needs attention, in its order.
    """
    return [text(item) for item in html.find("li", class_="item")]


def link(html: Html, words: str) -> str | None:
    """
    Where the only link with these words leads.
    """
    (target,) = {of.attributes["href"] for of in html.find("a") if text(of) == words}
    return target


def matching(html: Html) -> str:
    """
    How many rooms the list has.
    """
    return text(html.find("p", id="matching")[0])


LIMITS = Thresholds(warning=200, critical=400)


def limited(*names: str, limits: Thresholds = LIMITS) -> list[Room]:
    """
    Rooms with thresholds.
    """
    return [Room(name, thresholds=limits) for name in names]
