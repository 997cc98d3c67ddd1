"""
What stands at the port: the web config of the moment, read anew whenever somebody comes.

Before each TLS handshake and each request, a thread looks whether the files still hold what they held, so a renewed
certificate or a changed password counts from the next one on. Nobody waits longer than two seconds for that look: a
file system that hangs must not keep scrapes from being answered. A web config that has become wrong is logged, shown in
a metric, and has no other effect; the last one that was right goes on to hold.
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

_PATIENCE: Final = 2.0
_READ_WITHIN: Final = 60.0


class Guard:
    """
    Lets in whom the web config lets in.

    Args:
        path: Of the web config; ``None``: there is none, and everybody comes in.

    Attributes:
        config: The one that holds.
        handshake_worked: Told of the seconds that each step of a TLS handshake took.
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
        self._looks: set[asyncio.Task[None]] = set()
        self._hangs = False
        self._complaint = ""

    async def start(self) -> None:
        """
        Read the web config for the first time.

        Raises:
            ConfigError: It is wrong.
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
        """The web config that holds after another look at its files."""
        if self._path is not None and not self._hangs:
            if self._next is None:
                self._next = asyncio.create_task(self._look(self._path))
                self._looks.add(self._next)
                self._next.add_done_callback(self._looks.discard)
            _, waiting = await asyncio.wait({self._next}, timeout=_PATIENCE)
            if waiting:
                self._hangs = True
                self._complain(f"{self._path}: it, or a file that it names, cannot be read within {_PATIENCE:g} s")
        return self.config

    async def stop(self) -> None:
        """Look no more; nobody waits for a file that does not answer."""
        for look in self._looks:
            look.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)

    @web.middleware
    async def watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Middleware: answers those who may not come in."""
        config = await self.current()
        if self._bucket is not None and not self._bucket.take():
            return web.Response(status=429, text="Too many requests: rate_limit of the web config.\n")
        if config.users:
            authorization = request.headers.get("Authorization")
            match await self._passwords.judge(authorization, config.users, request.remote or ""):
                case Verdict.STRANGER:
                    challenge = {"WWW-Authenticate": 'Basic realm="rtc-room-exporter", charset="UTF-8"'}
                    return web.Response(status=401, text="Unauthorized\n", headers=challenge)
                case Verdict.TOO_MANY:
                    text = "Too many passwords are being looked at; come back in a second.\n"
                    return web.Response(status=429, text=text, headers={"Retry-After": "1"})
                case Verdict.WELCOME:
                    pass
        return await handler(request)

    async def add_headers(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Signal handler: the headers of the web config, in place of the exporter's own ones of the same names."""
        response.headers.update(self.config.headers)

    async def _look(self, path: Path) -> None:
        async with self._lock:
            self._next = None  # whoever comes from now on wants what the files hold from now on
            try:
                config = await in_thread(_read_anew, path, self.config)
                if config is not None:
                    self._change_over(path, config)
            except (UserError, OSError) as error:
                self._complain(str(error))
            except Exception:  # noqa: BLE001  # a bug; what held goes on to hold, and nobody is kept out or let in by it
                self._telemetry.unexpected_errors += 1
                self._telemetry.web_config_ok = False
                self._log.exception("unexpected error in an answer", method="web config", path=str(path))
            else:
                self._recovered()
            finally:
                self._hangs = False

    def _change_over(self, path: Path, config: WebConfig) -> None:
        if config.empty:
            # While an editor or cp writes a file, it is empty for a moment, which must not open the port.
            raise UserError(f"{path}: found nothing; accepted: a web config; {{}} for none")
        if (config.tls is None) is not (self.config.tls is None):
            found = "no tls_server_config" if config.tls is None else "tls_server_config"
            raise UserError(f"{path}: found {found}; accepted: TLS as before, since it goes on or off at a start alone")
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

    def _complain(self, why: str) -> None:
        self._telemetry.web_config_ok = False
        if why != self._complaint:
            self._complaint = why
            self._log.warning("web config not reloaded, the old one is kept", error=why)

    def _recovered(self) -> None:
        self._telemetry.web_config_ok = True
        if self._complaint:
            self._complaint = ""
            self._log.info("web config can be used again")


def _read_anew(path: Path, config: WebConfig) -> WebConfig | None:
    """The web config in the file; ``None`` if nothing has changed."""
    try:
        if config.is_current():
            return None
    except ValueError:  # a file cannot be read; what follows says where it is named
        pass
    return load_web_config(path)
