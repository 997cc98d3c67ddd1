"""
Several exporters that share the budgets of one config through a Redis, as their operator runs them.
"""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
import yaml

from tests.e2e.process import ExporterProcess, sample

_HELD = re.compile(r'^rtc_budget_held\{budget="([^"]*)"\} 1(?:\.0)?$', re.MULTILINE)

T = TypeVar("T")


class Replica(ExporterProcess):
    """
    One exporter of a cluster.
    """

    def __init__(self, name: str, config_file: Path, *flags: str) -> None:
        super().__init__(config_file, *flags, env={"RTC_EXPORTER_CLUSTER_REPLICA": name})
        self.name = name
        self.log_file = config_file.with_name(f"{name}.log")

    @property
    def runs(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def started(self) -> bool:
        """Whether it has been started, and not been waited for."""
        return self._client is not None

    async def ended(self) -> int:
        """Wait for its end; returns its exit code."""
        assert self._process
        code = await asyncio.wait_for(self._process.wait(), 10)
        if self._client:
            await self._client.close()
            self._client = None
        return code

    async def metrics(self) -> str:
        """What a scrape finds; nothing if it does not answer."""
        try:
            return (await self.text("/metrics"))[1]
        except (aiohttp.ClientError, OSError, AssertionError):
            return ""

    async def held(self) -> frozenset[str]:
        """The budgets that it holds, by its own metrics."""
        return frozenset(_HELD.findall(await self.metrics()))

    async def fenced(self) -> float:
        """Calls that were not written as the lease had run out."""
        return sample(await self.metrics(), "rtc_cluster_fenced_calls_total") or 0.0


class Replicas:
    """
    Args:
        document: The config, without its ``cluster``.
        redis: As in the config.
        lease: Seconds.
    """

    def __init__(
        self,
        folder: Path,
        names: Iterable[str],
        document: Mapping[str, Any],
        redis: Mapping[str, Any],
        *flags: str,
        lease: float,
        serve: str = "own",
    ) -> None:
        cluster = {"name": "rooms", "redis": dict(redis), "lease": f"{lease:g}s", "serve": serve}
        config_file = folder / "exporter.yml"
        config_file.write_text(yaml.safe_dump({**document, "cluster": cluster}))
        self.lease = lease
        self.all = [Replica(name, config_file, *flags) for name in names]

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(replica.start() for replica in self.all))
        return self

    async def __aexit__(self, *_: object) -> None:
        for replica in self.all:
            if replica.runs:
                replica.signal(signal.SIGCONT)
        await asyncio.gather(*(replica.stop(signal.SIGKILL) for replica in self.all if replica.started))

    async def holders(self) -> dict[str, frozenset[str]]:
        """What each running replica holds."""
        running = [replica for replica in self.all if replica.runs]
        held = await asyncio.gather(*(replica.held() for replica in running))
        return {replica.name: budgets for replica, budgets in zip(running, held, strict=True)}

    async def until_shared(self, budgets: int, within: float = 30.0) -> dict[str, frozenset[str]]:
        """Wait until each budget has one holder, and each running replica holds some."""

        async def shared() -> dict[str, frozenset[str]]:
            held = await self.holders()
            counts = [len(each) for each in held.values()]
            return held if sum(counts) == budgets and min(counts) else {}

        return await until(shared, within, self.holders)


async def until(
    look: Callable[[], Awaitable[T]], within: float, told: Callable[[], Awaitable[object]] | None = None
) -> T:
    """Wait until ``look`` returns something, and return it."""
    deadline = time.monotonic() + within
    while not (found := await look()):
        assert time.monotonic() < deadline, await told() if told else "too late"
        await asyncio.sleep(0.1)
    return found
