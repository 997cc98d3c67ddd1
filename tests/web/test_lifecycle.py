"""
Health, readiness and reload.
"""

from __future__ import annotations

import pytest

from tests.web.site import Site


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
async def test_ok_while_nothing_is_wrong(site: Site, path: str) -> None:
    """
    A probe that finds nothing wrong says OK.
    """
    response, body = await site.get(path)

    assert (200, b"OK\n") == (response.status, body)


async def test_probes_tell_their_reasons(site: Site) -> None:
    """
    Each probe answers 503 with its own reason, and does not look at the other's.
    """
    site.why_unhealthy = "the sweep last ran 12 s ago"

    healthy, why = await site.get("/-/healthy")
    ready, _ = await site.get("/-/ready")

    assert (503, b"the sweep last ran 12 s ago\n", 200) == (healthy.status, why, ready.status)


async def test_unready_is_not_unhealthy(site: Site) -> None:
    """
    A process that still waits for its first calls is alive.
    """
    site.why_unready = "live has not called yet"

    ready, why = await site.get("/-/ready")
    healthy, _ = await site.get("/-/healthy")

    assert (503, b"live has not called yet\n", 200) == (ready.status, why, healthy.status)


async def test_reload_succeeds(site: Site) -> None:
    """
    POST reads the config again, once.
    """
    response, body = await site.get("/-/reload", method="POST")

    assert (200, b"OK\n", 1) == (response.status, body, site.reloads)


async def test_reload_fails_with_the_reason(site: Site) -> None:
    """
    A config that is refused is a 500 with every problem on its line, as plain text.
    """
    site.why_not_reloaded = "exporter.yml:3: sources[0].api: found 'zego'\nexporter.yml:9: <b>"

    response, body = await site.get("/-/reload", method="POST")

    assert 500 == response.status
    assert "text/plain; charset=utf-8" == response.headers["Content-Type"]
    assert b"exporter.yml:3: sources[0].api: found 'zego'\nexporter.yml:9: <b>\n" == body


async def test_reload_is_off_unless_enabled() -> None:
    """
    Without --web.enable-lifecycle a reload is forbidden, and the answer says what to do.
    """
    async with Site() as site:
        response, body = await site.get("/-/reload", method="POST")

    assert (403, 0) == (response.status, site.reloads)
    assert b"--web.enable-lifecycle" in body


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_reload_takes_post_alone(site: Site, method: str) -> None:
    """
    Nothing that a crawler or a prefetching browser sends reloads the config.
    """
    response, _ = await site.get("/-/reload", method=method)

    assert (405, "POST", 0) == (response.status, response.headers["Allow"], site.reloads)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://proxied"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://{host}"}, True),
        ({"Origin": "http://{host}.evil.example"}, False),
        ({"Origin": "http://["}, False),
        ({"Origin": "http://a\u2100b"}, False),
    ],
)
async def test_other_sites_cannot_reload(site: Site, headers: dict[str, str], allowed: bool) -> None:
    """
    A page of another site can make a browser ask, and the exporter reloads nothing; no other client sends such headers.
    """
    host = site.server.url.removeprefix("http://")
    sent = {name: value.format(host=host) for name, value in headers.items()}
    response, _ = await site.get("/-/reload", headers=sent, method="POST")

    assert (200 if allowed else 403, int(allowed)) == (response.status, site.reloads)
