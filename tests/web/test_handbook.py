"""
The handbook that the exporter serves.
"""

from __future__ import annotations

import re

import pytest

from exporter.web.handbook import html_of
from exporter.web.links import anchor
from exporter.web.rendering import RUNBOOKS
from tests.deploy.project import ROOT
from tests.web.html import Html
from tests.web.site import Site

README = (ROOT / "README.md").read_text(encoding="utf-8")
USED = {
    *RUNBOOKS.values(),
    "RtcConfigReloadFailed",
    "RtcRoomsFileReloadFailed",
    "RtcRoomAboveThreshold",
    "RtcRoomUnknown",
}


async def test_the_handbook_is_served(site: Site) -> None:
    """
    It is the installed package's README, in the look of the other pages, and leads back to them.
    """
    response, body = await site.get("/docs")
    html = Html(body.decode())

    assert 200 == response.status
    assert "rtc-room-exporter" == html.find("h1")[0].text
    assert "Handbook · Live rooms" == html.find("title")[0].text
    assert [] == html.find("script")
    assert {"./#attention", "./#sources", "./#rooms"} <= {of.attributes.get("href") for of in html.find("a")}


@pytest.mark.docs
@pytest.mark.parametrize("runbook", sorted(USED))
def test_every_runbook_that_the_page_links_to_is_there(runbook: str) -> None:
    """
    "What to do" leads to a heading of the handbook.
    """
    html = Html(html_of(README))

    assert anchor(runbook).partition("#")[2] in {of.attributes.get("id") for of in html.elements}


@pytest.mark.docs
def test_links_within_the_handbook_lead_somewhere() -> None:
    """
    Its headings have the anchors that its own links name; what is not served has no link.
    """
    html = Html(html_of(README))
    ids = {of.attributes.get("id") for of in html.elements}
    targets = [of.attributes["href"] or "" for of in html.find("a")]

    assert [] == [target for target in targets if target.startswith("#") and target[1:] not in ids]
    assert [] == [target for target in targets if not target.startswith(("#", "https://", "http://"))]
    assert [] == html.find("img")
    assert len(re.findall(r"^\|---", README, re.MULTILINE)) == len(html.find("table"))


def test_text_stays_text() -> None:
    """
    Markup in the text is shown and not obeyed, and no link runs a script.
    """
    html = Html(html_of("# A <b>\n\n<script>alert(1)</script> [x](javascript:alert(1)) [y](docs/z.md) ![z](z.png)\n"))

    assert ["h1", "p"] == [element.tag for element in html.elements]
    assert "a-b" == html.elements[0].attributes["id"]
    assert "<script>alert(1)</script>" in html.elements[1].text


def test_headings_of_the_same_name() -> None:
    """
    The second one is numbered, as GitHub does it.
    """
    html = Html(html_of("# Keys\n\n## `Keys`\n\n## Rooms files: *how*\n"))

    assert ["keys", "keys-1", "rooms-files-how"] == [
        element.attributes.get("id") for element in html.elements if element.tag[0] == "h"
    ]
