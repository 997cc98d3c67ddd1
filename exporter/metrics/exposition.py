"""
Renders a scrape: the lines of the table and the exporter's own metrics, as text or OpenMetrics, plain or gzip.

Problem: with 100,000 rooms a body has some 40 MB. To join and compress it takes about 0.1 s on a fast core, and several
servers may scrape at the same moment. The event loop must stay free, since it decides when calls leave.

Idea, in four parts:

1. On the loop, only take a *snapshot* of the table (no line is copied) and freeze the exporter's own numbers.
2. Join and compress in one worker thread, in parts of 64 KiB or one page, so that the loop runs in between.
3. Share the result: all scrapes that arrive before a rendering takes its snapshot get the same bytes. A scrape that
   arrives later waits for the next rendering.
4. Do not keep a plain body whole: join its next part only when the client has taken the previous one.

A gzip body is one gzip member of two deflate parts::

    header | room lines, ended by a sync flush | the exporter's own metrics, finished | crc32, length

The first part depends on the table alone. It is kept, and sent again as long as no line of the table has changed. The
exporter's own metrics change with every scrape, so the second part is always new.

Example: two Prometheus servers scrape every 15 s, rooms are read every 60 s. A arrives at 0.00 s, its rendering takes a
snapshot at once. B arrives at 0.01 s, too late for that snapshot, and C at 0.02 s: B and C share the second rendering,
which starts at 0.10 s. If no reading arrived in between, it compresses the own metrics alone, in some 3 ms.

Why not ``prometheus_client.generate_latest`` for everything: it formats every line at every scrape, on the loop.

When this is wrong: with many readings a second the kept part is never used twice. A scrape of some metrics alone
(``name[]``) is rendered by itself and never kept.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from time import perf_counter
from typing import Final

from isal import isal_zlib
from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from exporter.metrics.catalogue import ROOM_METRICS, Metric
from exporter.metrics.pages import Page
from exporter.metrics.table import Table
from exporter.metrics.telemetry import Telemetry

TEXT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_generate_openmetrics: Callable[..., bytes] = openmetrics.generate_latest
_PART: Final = 64 * 1024
_SUFFIXES: Final = ("", "_total", "_bucket", "_count", "_sum")
_LEVEL: Final = 1
_RAW_DEFLATE: Final = -15
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    A scraper's wishes.

    Args:
        names: Names of samples or of families, from the parameter ``name[]``; empty for all.
    """

    openmetrics: bool = False
    gzip: bool = False
    names: frozenset[str] = frozenset()

    @property
    def content_type(self) -> str:
        return OPENMETRICS_TYPE if self.openmetrics else TEXT_TYPE


@dataclass(frozen=True, slots=True)
class Deflated:
    """The compressed lines of the rooms. Valid while the table has this version."""

    version: tuple[int, ...]
    data: bytes
    crc: int
    length: int


class Body:
    """
    A rendered scrape, in parts to be sent one after the other. Several clients may share it.

    Args:
        length: Total length in bytes.
        parts: Returns an iterator over the parts; each client calls it anew.
        unpacked: Total length in bytes before compression.
    """

    __slots__ = ("_parts", "length", "unpacked")

    def __init__(self, length: int, parts: Callable[[], Iterable[bytes]], unpacked: int) -> None:
        self.length = length
        self.unpacked = unpacked
        self._parts = parts

    @property
    def parts(self) -> Iterable[bytes]:
        return self._parts()


class Exposition:
    """Renders scrapes. See the theory of operation above."""

    def __init__(self, table: Table, telemetry: Telemetry, monotonic: Callable[[], float]) -> None:
        self._table = table
        self._telemetry = telemetry
        self._monotonic = monotonic
        self._deflated: dict[bool, Deflated] = {}
        self._next: dict[Wanted, asyncio.Task[Body]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="render")

    async def body(self, wanted: Wanted) -> Body:
        """The body of one scrape. All callers before the snapshot is taken get the same body."""
        rendering = self._next.get(wanted)
        if rendering is None:
            rendering = self._next[wanted] = asyncio.create_task(self._render_next(wanted))
        return await asyncio.shield(rendering)

    async def aclose(self) -> None:
        """Wait for the running rendering, then end the worker thread."""
        waiting = list(self._next.values())
        for rendering in waiting:
            rendering.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.to_thread(self._worker.shutdown)

    async def _render_next(self, wanted: Wanted) -> Body:
        async with self._one_at_a_time:
            self._next.pop(wanted, None)
            started = perf_counter()
            now = self._monotonic()
            self._table.expire(now)
            self._telemetry.freeze(now)
            version = self._table.version()
            kept = self._deflated.get(wanted.openmetrics) if wanted.gzip and not wanted.names else None
            reuse = kept if kept is not None and kept.version == version else None
            snapshot = () if reuse else self._table.snapshot()
            loop = asyncio.get_running_loop()
            body = await loop.run_in_executor(self._worker, self._render, wanted, version, snapshot, reuse)
            self._telemetry.scrape_durations.observe(perf_counter() - started)
            if not wanted.names:
                self._telemetry.scrape_size = body.unpacked
            return body

    def _render(
        self, wanted: Wanted, version: tuple[int, ...], snapshot: Sequence[Page], reuse: Deflated | None
    ) -> Body:
        own = self._own_metrics(wanted)
        if not wanted.gzip:
            rooms = _RoomLines(snapshot, wanted.names, openmetrics=wanted.openmetrics)
            length = rooms.length() + len(own)
            return Body(length, lambda: chain(rooms.parts(), (own,)), length)
        lines = _RoomLines(snapshot, wanted.names, openmetrics=wanted.openmetrics)
        deflated = reuse or _deflate(lines.parts(), version)
        if not wanted.names:
            self._deflated[wanted.openmetrics] = deflated
        rest = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _RAW_DEFLATE)
        unpacked = deflated.length + len(own)
        trailer = struct.pack("<LL", isal_zlib.crc32(own, deflated.crc), unpacked & 0xFFFFFFFF)
        parts = (_GZIP_HEADER, deflated.data, rest.compress(own), rest.flush(), trailer)
        return Body(sum(map(len, parts)), lambda: parts, unpacked)

    def _own_metrics(self, wanted: Wanted) -> bytes:
        registry: Collector = self._telemetry.registry
        if wanted.names:
            samples = {name + suffix for name in wanted.names for suffix in _SUFFIXES}
            registry = self._telemetry.registry.restricted_registry(samples)
        text: bytes = (_generate_openmetrics if wanted.openmetrics else generate_latest)(registry)
        return text


def _deflate(parts: Iterable[bytes], version: tuple[int, ...]) -> Deflated:
    compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _RAW_DEFLATE)
    crc, length = 0, 0
    data = []
    for part in parts:
        crc = isal_zlib.crc32(part, crc)
        length += len(part)
        data.append(compressor.compress(part))
    data.append(compressor.flush(isal_zlib.Z_SYNC_FLUSH))
    return Deflated(version, b"".join(data), crc, length)


class _RoomLines:
    """The wanted families of a snapshot. A family without lines has no header either."""

    def __init__(self, snapshot: Sequence[Page], names: frozenset[str], *, openmetrics: bool) -> None:
        self._snapshot = snapshot
        self._families = [
            (column, _header(metric, openmetrics=openmetrics))
            for column, metric in enumerate(ROOM_METRICS)
            if not names or metric.name in names or _family(metric) in names
        ]

    def length(self) -> int:
        lengths = [
            (len(header), sum(page.length(column) for page in self._snapshot)) for column, header in self._families
        ]
        return sum(header + lines for header, lines in lengths if lines)

    def parts(self) -> Iterator[bytes]:
        """The lines, joined page by page. Small pages are collected until a part has 64 KiB."""
        part: list[bytes] = []
        size = 0
        for column, header in self._families:
            due = header
            for page in self._snapshot:
                if lines := b"".join(page.columns[column]):
                    part += (due, lines) if due else (lines,)
                    due = b""
                    size += len(lines)
                if size >= _PART:
                    yield b"".join(part)
                    part, size = [], 0
        yield b"".join(part)


def _family(metric: Metric) -> str:
    """The name that the family of a counter has in OpenMetrics; a gauge's own name."""
    return metric.name.removesuffix("_total")


def _header(metric: Metric, *, openmetrics: bool) -> bytes:
    name = _family(metric) if openmetrics else metric.name
    help_text = metric.help.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {help_text}\n# TYPE {name} {metric.type}\n".encode()
