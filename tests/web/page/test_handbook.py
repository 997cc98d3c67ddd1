"""
The handbook that the exporter serves.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import pytest

from exporter.web.page import handbook
from exporter.web.page.handbook import pages, render
from exporter.web.page.links import anchor
from exporter.web.page.rendering import RUNBOOKS
from tests.deploy.project import ROOT
from tests.docs.pages import SERVED
from tests.web.page.html import Html
from tests.web.site import Site

USED = {
    *RUNBOOKS.values(),
    "RtcConfigReloadFailed",
    "RtcWebConfigReloadFailed",
    "RtcRoomsFileReloadFailed",
    "RtcRoomAboveThreshold",
    "RtcRoomUnknown",
}
PATHS = {f"/{path.removesuffix('.md')}" if path != "README.md" else "/docs": path for path in SERVED}


def rendered(markdown: str) -> str:
    """
    A page with this text, in a handbook that has one more page.
    """
    return render(markdown, {"metrics"}, is_front=False).html


def ids(html: Html) -> set[str | None]:
    """
    The places of a page that an address may name.
    """
    return {of.attributes.get("id") for of in html.elements}


async def test_the_handbook_is_served(site: Site) -> None:
    """
    Its front is the README, in the look of the other pages, and leads back to them.
    """
    response, body = await site.get("/docs")
    html = Html(body.decode())

    assert 200 == response.status
    assert "rtc-room-exporter" == html.find("h1")[0].text
    assert "rtc-room-exporter · Handbook · Live rooms" == html.find("title")[0].text
    assert [] == html.find("script")
    assert {"./#attention", "./#sources", "./#rooms"} <= {of.attributes.get("href") for of in html.find("a")}


@pytest.mark.parametrize("name", ["nothing", "README", "", "..%2FREADME", "page.png", "simulator.md"])
async def test_there_is_no_other_page(site: Site, name: str) -> None:
    """
    What is not a page of the handbook is not found, file or not.
    """
    response, _ = await site.get(f"/docs/{name}")

    assert 404 == response.status


@pytest.mark.docs
@pytest.mark.parametrize("path", PATHS)
async def test_every_document_is_a_page_and_its_links_lead_somewhere(site: Site, path: str) -> None:
    """
    Links between pages, and to headings, are followed as a browser does; what is not served has no link.
    """
    html = Html((await site.text(path)).partition('<article class="handbook">')[2].partition("</article>")[0])
    markdown = (ROOT / PATHS[path]).read_text(encoding="utf-8")
    hrefs = [of.attributes["href"] or "" for of in html.find("a")]
    ours = {urldefrag(urljoin(path, href)) for href in hrefs if not href.startswith(("http://", "https://"))}

    assert [] == html.find("img")
    assert len(re.findall(r"^\|---", markdown, re.MULTILINE)) == len(html.find("table"))
    assert {target for target, _ in ours} <= {*PATHS}
    for target, place in ours:
        assert not place or place in ids(Html(await site.text(target)))


@pytest.mark.docs
@pytest.mark.parametrize("runbook", sorted(USED))
async def test_every_runbook_that_the_page_links_to_is_there(site: Site, runbook: str) -> None:
    """
    "What to do" leads to a heading of the handbook.
    """
    path, _, place = anchor(runbook).partition("#")

    assert place in ids(Html(await site.text(f"/{path}")))


def test_an_installed_package_carries_the_handbook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A wheel has every page, where an exporter that was installed from it looks for them.
    """
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path)
    in_a_clone = {name: file.read_text(encoding="utf-8") for name, file in pages().items()}
    monkeypatch.setattr(handbook, "_INSTALLED", tmp_path / "exporter/docs")
    monkeypatch.setattr(handbook, "_CLONE", tmp_path / "nowhere")

    assert in_a_clone == {name: file.read_text(encoding="utf-8") for name, file in pages().items()}
    assert {*PATHS} == {f"/docs/{name}".rstrip("/") for name in in_a_clone}


async def test_without_its_files_there_is_no_handbook(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Somebody who copied the package alone is told that there is no such page, and the rest works.
    """
    monkeypatch.setattr(handbook, "_INSTALLED", tmp_path)
    monkeypatch.setattr(handbook, "_CLONE", tmp_path)

    response, _ = await site.get("/docs")

    assert 404 == response.status


def test_text_stays_text() -> None:
    """
    Markup in the text is shown and not obeyed, and no link runs a script.
    """
    html = Html(rendered("# A <b>\n\n<script>alert(1)</script> [x](javascript:alert(1)) [y](docs/z.md) ![z](z.png)\n"))

    assert ["h1", "p"] == [element.tag for element in html.elements]
    assert "a-b" == html.elements[0].attributes["id"]
    assert "<script>alert(1)</script>" in html.elements[1].text


def test_headings_of_the_same_name() -> None:
    """
    The second one is numbered, as GitHub does it.
    """
    html = Html(rendered("# Keys\n\n## `Keys`\n\n## Rooms files: *how*\n"))

    assert ["keys", "keys-1", "rooms-files-how"] == [
        element.attributes.get("id") for element in html.elements if element.tag[0] == "h"
    ]


def test_links_between_pages() -> None:
    """
    As they work among the Markdown files, so they do among the pages; a file that is no page has no link.
    """
    text = (
        "[a](metrics.md#users) [b](../README.md#demo) [c](../deploy/x.yml) [d](../docs/x.md) [e](other.md) [f](#here)"
    )
    front = "[a](docs/metrics.md#users) [b](README.md#demo) [c](deploy/x.yml) [d](https://example.org/metrics.md)"

    assert ["metrics#users", "../docs#demo", "#here"] == [
        of.attributes["href"] for of in Html(rendered(text)).find("a")
    ]
    assert ["docs/metrics#users", "#demo", "https://example.org/metrics.md"] == [
        of.attributes["href"] for of in Html(render(front, {"metrics"}, is_front=True).html).find("a")
    ]


async def test_every_page_leads_to_all_others(site: Site) -> None:
    """
    In the order of the README's list, and the page that is shown is marked.
    """
    html = Html((await site.text("/docs/pacing")).partition('<nav class="contents"')[2].partition("</nav>")[0])
    links = html.find("a")

    names = [of.text for of in links]
    assert ["Overview", "First steps", "Configuration"] == names[:3]
    assert names.index("Discovery") == names.index("Callbacks") - 1, (
        "in the order of the README's table, whatever else links there"
    )
    assert {urljoin("/docs/pacing", of.attributes["href"] or "") for of in links} == {*PATHS}
    assert ["Pacing"] == [of.text for of in links if of.attributes.get("aria-current") == "page"]


def test_a_long_name_may_be_broken() -> None:
    """
    Where a person would break it; a short one stays whole, a flag too.
    """
    text = rendered("`rtc_source_up` `rtc_source_interval_seconds` `<a_b>` `run --web.config.file`")

    assert "<code>rtc_source_up</code>" in text
    assert "<code>rtc_<wbr>source_<wbr>interval_<wbr>seconds</code>" in text
    assert "<code>&lt;a_b&gt;</code>" in text
    assert '<code>run <span class="whole">--web.config.file</span></code>' in text


def test_a_cell_knows_its_column() -> None:
    """
    On a narrow screen, where a row is a card, a cell has the heading before it: not the first one, nor one of two.
    """
    html = Html(rendered("| a | `b` | c |\n|---|---|---|\n| 1 | 2 | 3 |\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"))

    assert [None, "b", "c", None, None] == [of.attributes.get("data-label") for of in html.find("td")]
