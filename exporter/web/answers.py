"""Applies to all answers: security headers, errors as plain text, and no details of an exception."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from exporter.logs import Log
from exporter.metrics.telemetry import Telemetry

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "rtc-room-exporter",
}


async def add_security_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: add the security headers to every answer."""
    response.headers.update(SECURITY_HEADERS)


def plain_errors(paths: tuple[str, ...], telemetry: Telemetry, log: Log) -> Middleware:
    """
    A middleware that turns errors into short plain texts.

    Args:
        paths: The paths that a 404 lists.
    """
    not_found = "There is no such page. These exist:\n" + "".join(f"  {path}\n" for path in paths)

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return web.Response(status=404, text=not_found)
        except web.HTTPMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.allowed_methods))
            text = f"{request.path} takes {allowed}.\n"
            return web.Response(status=405, text=text, headers={"Allow": allowed})
        except (web.HTTPException, ConnectionError):
            raise
        except Exception:  # a bug must neither end the process nor be shown to a client
            telemetry.unexpected_errors += 1
            log.exception("unexpected error in an answer", method=request.method, path=request.path)
            if request.writer.output_size > 0:
                raise ConnectionError("a part of the answer is already sent: only closing is left") from None
            return web.Response(status=500, text="An unexpected error; the exporter's log has the details.\n")

    return answer
