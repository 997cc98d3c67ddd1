"""Health, readiness and reload, for orchestrators and operators."""

from __future__ import annotations

from aiohttp import web

from exporter.web.process import Process


class Lifecycle:
    """
    The ``/-/`` endpoints.

    Args:
        enabled: Whether reloading over HTTP is allowed.
    """

    def __init__(self, process: Process, *, enabled: bool) -> None:
        self._process = process
        self._enabled = enabled

    async def healthy(self, _request: web.Request) -> web.Response:
        return _verdict(self._process.healthy(), 503)

    async def ready(self, _request: web.Request) -> web.Response:
        return _verdict(self._process.ready(), 503)

    async def reload(self, request: web.Request) -> web.Response:
        if not self._enabled:
            return _verdict("Reload over HTTP is off; start with --web.enable-lifecycle, or send SIGHUP.", 403)
        if _is_of_another_site(request):
            return _verdict(
                "A browser sent this request for a page of another site, which may not ask for a reload.", 403
            )
        return _verdict(await self._process.reload(), 500)


def _is_of_another_site(request: web.Request) -> bool:
    """Whether a browser sent this on behalf of another site's page (cross-site request forgery)."""
    if sites := request.headers.getall("Sec-Fetch-Site", []):
        return any(site not in ("same-origin", "none") for site in sites)
    return any(origin.partition("://")[2] != request.host for origin in request.headers.getall("Origin", []))


def _verdict(reason: str | None, status: int) -> web.Response:
    if reason is None:
        return web.Response(text="OK\n")
    return web.Response(status=status, text=reason.rstrip("\n") + "\n")
