"""
Protects the port with the web config in force, and reloads it when one of its files changes.

Before each TLS handshake and each request, a thread compares the files with their contents at the last load. So a
renewed certificate or a changed password is in force from the next handshake or request on.

A client waits at most two seconds for this check: a file system that hangs must not stop scrapes. If the web config has
become invalid, the exporter logs that and sets a metric; the last valid web config stays in force.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.blocking import in_thread
from exporter.config.errors import ConfigError
from exporter.errors import UserError
from exporter.logs import Log
from exporter.metrics.telemetry import Telemetry
from exporter.web.security.config import WebConfig, load_web_config
from exporter.web.security.rate_limit import TokenBucket
from exporter.web.security.users import Passwords, Verdict

_CHECK_WITHIN: Final = 2.0
_READ_WITHIN: Final = 60.0


class Guard:
    """
    Applies the web config to handshakes and requests.

    Args:
        path: The web config file; ``None`` for none: then everybody is let in.

    Attributes:
        config: The web config in force.
        handshake_worked: Called with the seconds that each step of a TLS handshake took.
    """

    def __init__(self, path: Path | None, telemetry: Telemetry, log: Log, monotonic: Callable[[], float]) -> None:
        self.config = WebConfig()
        self.handshake_worked: Callable[[float], None] = lambda _: None
        self._path = path
        self._telemetry = telemetry
        self._log = log
        self._monotonic = monotonic
        self._passwords = Passwords()
        self._bucket: TokenBucket | None = None
        self._lock = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None
        self._checks: set[asyncio.Task[None]] = set()
        self._hangs = False
        self._reported = ""

    async def start(self) -> None:
        """
        Load the web config for the first time.

        Raises:
            ConfigError: The web config is invalid, or it cannot be read in time.
        """
        if self._path is None:
            return
        try:
            async with asyncio.timeout(_READ_WITHIN):
                config = await in_thread(load_web_config, self._path)
        except TimeoutError:
            raise ConfigError([f"{self._path}: it, or a file that it names, cannot be read within 60 s"]) from None
        except OSError as error:
            raise UserError(f"{self._path}: {error.strerror}") from None
        for warning in config.warnings:
            self._log.warning("web config", warning=warning)
        self._adopt(config)

    async def current(self) -> WebConfig:
        """Check the files, and return the web config in force."""
        if self._path is not None and not self._hangs:
            if self._next is None:
                self._next = asyncio.create_task(self._check(self._path))
                self._checks.add(self._next)
                self._next.add_done_callback(self._checks.discard)
            _, waiting = await asyncio.wait({self._next}, timeout=_CHECK_WITHIN)
            if waiting:
                self._hangs = True
                self._report(f"{self._path}: it, or a file that it names, cannot be read within {_CHECK_WITHIN:g} s")
        return self.config

    async def stop(self) -> None:
        """Cancel the running checks, without waiting for a file system that hangs."""
        for check in self._checks:
            check.cancel()
        await asyncio.gather(*self._checks, return_exceptions=True)

    @web.middleware
    async def watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Middleware: refuse requests that exceed the rate limit or lack a valid password."""
        config = await self.current()
        if self._bucket is not None and not self._bucket.take():
            return web.Response(status=429, text="Too many requests: rate_limit of the web config.\n")
        if config.users:
            authorization = request.headers.get("Authorization")
            match await self._passwords.judge(authorization, config.users, request.remote or ""):
                case Verdict.UNKNOWN:
                    challenge = {"WWW-Authenticate": 'Basic realm="rtc-room-exporter", charset="UTF-8"'}
                    return web.Response(status=401, text="Unauthorized\n", headers=challenge)
                case Verdict.TOO_MANY:
                    text = "Too many passwords are being checked; try again in a second.\n"
                    return web.Response(status=429, text=text, headers={"Retry-After": "1"})
                case Verdict.ACCEPTED:
                    pass
        return await handler(request)

    async def add_headers(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Signal handler: add the headers of the web config; they replace our own ones of the same names."""
        response.headers.update(self.config.headers)

    async def _check(self, path: Path) -> None:
        async with self._lock:
            self._next = None  # a later client needs a later check
            try:
                config = await in_thread(_load_if_changed, path, self.config)
                if config is not None:
                    self._replace(path, config)
            except (UserError, OSError) as error:
                self._report(str(error))
            except Exception:  # noqa: BLE001  # a bug: the web config in force stays
                self._telemetry.unexpected_errors += 1
                self._telemetry.web_config_ok = False
                self._log.exception("unexpected error in an answer", method="web config", path=str(path))
            else:
                self._recovered()
            finally:
                self._hangs = False

    def _replace(self, path: Path, config: WebConfig) -> None:
        if config.empty:
            # While an editor or cp writes the file, it is empty for a moment. This must not remove the protection.
            raise UserError(f"{path}: found nothing; accepted: a web config; {{}} for none")
        if (config.tls is None) is not (self.config.tls is None):
            found = "no tls_server_config" if config.tls is None else "tls_server_config"
            raise UserError(
                f"{path}: found {found}; accepted: TLS as before, since only a restart can switch it on or off"
            )
        self._adopt(config)
        self._log.info("web config reloaded", guards=", ".join(config.guards) or "nothing")

    def _adopt(self, config: WebConfig) -> None:
        if config.rate_limit != self.config.rate_limit:
            limit = config.rate_limit
            self._bucket = TokenBucket(limit.interval, limit.burst, self._monotonic) if limit.interval else None
        if config.context is not None:
            config.context.worked = self.handshake_worked
            config.context.failed = self._handshake_failed
        self.config = config
        self._passwords.forget()
        self._telemetry.web_config_ok = True

    def _handshake_failed(self, error: ssl.SSLError) -> None:
        self._log.debug("TLS handshake failed", reason=error.reason or str(error))

    def _report(self, why: str) -> None:
        self._telemetry.web_config_ok = False
        if why != self._reported:
            self._reported = why
            self._log.warning("web config not reloaded, the old one is kept", error=why)

    def _recovered(self) -> None:
        self._telemetry.web_config_ok = True
        if self._reported:
            self._reported = ""
            self._log.info("web config can be used again")


def _load_if_changed(path: Path, config: WebConfig) -> WebConfig | None:
    """Load the web config; ``None`` if no file has changed."""
    try:
        if config.is_current():
            return None
    except ValueError:  # a file cannot be read: loading reports the key that names it
        pass
    return load_web_config(path)
