"""
A listener on a real port of this machine, with a clock that tests turn and a log that they read.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from exporter.callbacks import Listener, Result, Stats, Subscription
from exporter.clock import Clock
from exporter.config.discovery import CallbacksConfig, ListenerConfig
from exporter.vendors import APIS
from exporter.vendors.callbacks import Hint
from exporter.vendors.source import Secret
from tests.callbacks.vendor import APPS, NOW, SECRET, Callback, source_of

TOKEN: Final = "path-token-4f1c9a7be20d"
ANYWHERE: Final = ListenerConfig("127.0.0.1:0")


class Lines:
    """
    A log that keeps what it is told.
    """

    def __init__(self, lines: list[tuple[str, str, dict[str, Any]]] | None = None, **bound: object) -> None:
        self.lines = [] if lines is None else lines
        self._bound = bound

    def __str__(self) -> str:
        return "\n".join(f"{level} {event} {values}" for level, event, values in self.lines)

    def at(self, *levels: str) -> list[str]:
        """
        Lines of these levels.
        """
        return [event for level, event, _ in self.lines if level in levels]

    def bind(self, **values: object) -> Lines:
        """
        The same log, whose lines have these values as well.
        """
        return Lines(self.lines, **{**self._bound, **values})

    def debug(self, event: str, **values: object) -> None:
        """
        Only where everything is wanted.
        """
        self._add("debug", event, values)

    def info(self, event: str, **values: object) -> None:
        """
        What is news.
        """
        self._add("info", event, values)

    def warning(self, event: str, **values: object) -> None:
        """
        What somebody should look at.
        """
        self._add("warning", event, values)

    def error(self, event: str, **values: object) -> None:
        """
        What is wrong.
        """
        self._add("error", event, values)

    def exception(self, event: str, **values: object) -> None:
        """
        What is wrong with us.
        """
        self._add("exception", event, {**values, "traceback": traceback.format_exc()})

    def _add(self, level: str, event: str, values: Mapping[str, object]) -> None:
        self.lines.append((level, event, {**self._bound, **values}))


class Port:
    """
    A listener, with one source of each API that is called as its API is.
    """

    def __init__(self, config: ListenerConfig = ANYWHERE, **settings: Any) -> None:
        self.now = 1_000.0
        self.unix = float(NOW)
        self.log = Lines()
        self.hints: list[tuple[str, Hint]] = []
        self.listener = Listener(self, Clock(monotonic=lambda: self.now, unix=lambda: self.unix), self.log, **settings)
        self._config = config

    async def __aenter__(self) -> Self:
        await self.listener.reconfigure(self._config, [subscription(api) for api in APPS])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.listener.stop()

    def hinted(self, source_name: str, hint: Hint) -> None:
        """
        As the listener's sink.
        """
        self.hints.append((source_name, hint))

    @property
    def results(self) -> dict[str, dict[Result, int]]:
        """
        By source, those that there were.
        """
        return {name: dict(stats.results) for name, stats in self.listener.stats.items() if stats.results}

    def stats(self, source: str) -> Stats:
        """
        Of one source.
        """
        return self.listener.stats[source]

    async def rooms(self) -> list[str]:
        """
        The rooms of all hints so far, when all were worked through.
        """
        await self.worked()
        return [hint.room_id for _, hint in self.hints]

    async def worked(self) -> None:
        """
        Until no hint waits.
        """
        while len(self.listener._hints):  # noqa: ASYNC110 an event for tests alone is not worth it
            await asyncio.sleep(0)

    async def send(self, callback: Callback, token: str = TOKEN, source: str = "", **head: str) -> int:
        """
        Send a vendor's callback; the status of the answer.
        """
        status, _, _ = await self.answer(callback, token, source, **head)
        return status

    async def answer(
        self, callback: Callback, token: str = TOKEN, source: str = "", **head: str
    ) -> tuple[int, dict[str, str], bytes]:
        """
        Send a vendor's callback; status, headers and body of the answer.
        """
        target = f"/callback/{quote(source or callback.api, safe='')}/{token}"
        if callback.query:
            target += f"?{callback.query}"
        headers = {"Content-Type": callback.content_type, **{name.replace("_", "-"): head[name] for name in head}}
        return await self.ask(request("POST", target, headers, callback.body))

    async def ask(self, data: bytes, patience: float = 60.0) -> tuple[int, dict[str, str], bytes]:
        """
        Send bytes; status, headers and body of the answer, or 0 if the connection is cut, or nothing comes for so long.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self.listener.port)
        try:
            writer.write(data)
            async with asyncio.timeout(patience):
                answer = await reader.read()
        except (ConnectionError, TimeoutError):
            answer = b""
        finally:
            writer.transport.abort()
        return read(answer)


def read(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """
    Status, headers by lower-case name, and body.
    """
    if not answer:
        return 0, {}, b""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    return int(status.split(" ")[1]), {name.lower(): value for name, value in fields.items()}, body


def request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """
    A request's bytes.
    """
    fields = {"Host": "a", "Content-Length": str(len(body)), **headers}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items() if value), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


def subscription(
    api: str,
    name: str = "",
    app: Any = None,
    secrets: Iterable[str] = (SECRET,),
    tokens: Iterable[str] = (TOKEN,),
    max_age: float | None = None,
) -> Subscription:
    """
    A source that takes callbacks.
    """
    callbacks = APIS[api].callbacks
    assert callbacks
    config = CallbacksConfig(
        tuple(map(Secret, secrets)),
        tuple(map(Secret, tokens)),
        callbacks.default_max_age if max_age is None else max_age,
    )
    return Subscription(name or api, source_of(api, app or APPS[api]), callbacks, config)
