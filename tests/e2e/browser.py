"""
Debian's Chromium, and everything that it complains about.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


_PATIENCE = 15_000.0
"""Milliseconds: three times as long as the page waits between two refreshes."""


class Chromium:
    """
    A running browser.

    Attributes:
        complaints: Warnings, errors, exceptions and requests that failed, of every page.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.complaints: list[str] = []

    @asynccontextmanager
    async def page(
        self,
        url: str,
        *,
        width: int = 1280,
        scheme: Literal["light", "dark"] = "light",
        javascript: bool = True,
    ) -> AsyncIterator[Page]:
        """
        A page in a window of its own, gone when the block ends; its clock can be put forward.
        """
        context = await self._browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=javascript
        )
        page = await context.new_page()
        page.set_default_timeout(_PATIENCE)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        try:
            await page.clock.install()
            await page.goto(url)
            yield page
        finally:
            await context.close()

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("warning", "error"):
            self.complaints.append(message.text)


@asynccontextmanager
async def chromium(program: Path) -> AsyncIterator[Chromium]:
    """
    Run the browser while the block lasts.
    """
    async with async_playwright() as playwright:
        expect.set_options(timeout=_PATIENCE)
        browser = await playwright.chromium.launch(executable_path=program, args=_FLAGS)
        yield Chromium(browser)
        await browser.close()


async def accessibility_faults(page: Page) -> list[dict[str, Any]]:
    """
    What axe-core finds: each rule that is broken, of any impact, and the elements that break it.
    """
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    # Evaluated over the debugging protocol: a script element would be refused by the page's policy.
    await page.evaluate(axe)
    found = await page.evaluate("axe.run().then(({violations}) => violations)")
    return [{"rule": fault["id"], "nodes": [node["html"] for node in fault["nodes"]]} for fault in found]
