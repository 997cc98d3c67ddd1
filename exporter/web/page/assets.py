"""Serves style, script and icons of the page. They are read once, and kept in memory."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

_ICONS: Final = ("icon", "icon-ok", "icon-waiting", "icon-warning", "icon-bad", "icon-gone")
_TYPES: Final = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    **dict.fromkeys((f"{name}.svg" for name in _ICONS), "image/svg+xml"),
}


def asset_routes() -> list[web.RouteDef]:
    """A route for each file of ``static/``."""
    return [web.get(f"/static/{name}", _asset(name, content_type)) for name, content_type in _TYPES.items()]


def _asset(name: str, content_type: str) -> Handler:
    content = files("exporter.web.page").joinpath("static", name).read_bytes()

    async def get(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=content, content_type=content_type, charset="utf-8")

    return get
