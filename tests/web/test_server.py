"""
What the server refuses to serve.
"""

from __future__ import annotations

import pytest

from exporter.errors import UserError
from tests.web.site import Site


async def test_the_status_page_keeps_its_place() -> None:
    """
    Metrics at / would hide the status page; the error says what to do.
    """
    with pytest.raises(UserError, match="the telemetry path '/' is the status page's; choose another one"):
        Site("/")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "metrics",
        "/metrics/",
        "//metrics",
        "/{name}",
        "/a b",
        "/a?b",
        "/a#b",
        "/%6d",
        "/../etc",
        "/a/.",
        "/mé",
        "/-/healthy",
        "/-/metrics",
        "/api/v1/rooms",
        "/static/page.css",
        "/docs",
        "/rooms",
        "/rooms/live/a",
    ],
)
async def test_odd_telemetry_paths(path: str) -> None:
    """
    A path that is taken, or that could not be asked for as it stands, is refused with what is accepted.
    """
    with pytest.raises(UserError, match=r"cannot be served; accepted: a path such as /metrics"):
        Site(path)


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/rooms"])
async def test_cookies_of_other_applications_are_no_obstacle(site: Site, path: str) -> None:
    """
    A browser sends the cookies of every application on the host: many kilobytes of them are let pass.
    """
    response, _ = await site.get(path, {"Cookie": "a=" + "x" * 32_000})

    assert 200 == response.status
