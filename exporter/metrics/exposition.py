"""
The bytes of a scrape: the table's lines and the exporter's own metrics, in either format, plain or gzip.

The event loop only takes a *snapshot* of the table, which copies no line. One worker thread joins and compresses it in
slices, so that the loop is never held up; a plain body is joined slice by slice while it is sent, so that it is never
whole in memory, however slow a scraper is. Scrapes that arrive while one is being rendered share the next rendering.

A gzip body is one member made of two deflate parts::

    header | room lines, sync-flushed | the exporter's own metrics, finished | crc32, length

The first part depends on the table alone. It is kept and sent again while no line of the table has changed.
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
    What a scraper asked for.

    Args:
        names: Of samples or of whole families, from ``name[]``; empty: everything.
    """

    openmetrics: bool = False
    gzip: bool = False
    names: frozenset[str] = frozenset()

    @property
    def content_type(self) -> str:
        return OPENMETRICS_TYPE if self.openmetrics else TEXT_TYPE


@dataclass(frozen=True, slots=True)
class Deflated:
    """The compressed room part of a body, good until the table's version changes."""

    version: tuple[int, ...]
    data: bytes
    crc: int
    length: int


class Body:
    """
    A rendered scrape, in parts to be sent one after the other; many senders may share it.

    Args:
        length: Bytes of all parts together.
        parts: Begins them anew.
        unpacked: Bytes of all parts together before compression.
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
    """Renders scrapes of one table and the exporter's own metrics."""

    def __init__(self, table: Table, telemetry: Telemetry, monotonic: Callable[[], float]) -> None:
        self._table = table
        self._telemetry = telemetry
        self._monotonic = monotonic
        self._deflated: dict[bool, Deflated] = {}
        self._waiting: dict[Wanted, asyncio.Task[Body]] = {}
        self._turn = asyncio.Lock()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="render")

    async def body(self, wanted: Wanted) -> Body:
        """The body of one scrape; every caller that comes before its snapshot is taken gets the same bytes."""
        rendering = self._waiting.get(wanted)
        if rendering is None:
            rendering = self._waiting[wanted] = asyncio.create_task(self._render_in_turn(wanted))
        return await asyncio.shield(rendering)

    async def aclose(self) -> None:
        """Let the running rendering end, and the worker with it."""
        waiting = list(self._waiting.values())
        for rendering in waiting:
            rendering.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.to_thread(self._worker.shutdown)

    async def _render_in_turn(self, wanted: Wanted) -> Body:
        async with self._turn:
            self._waiting.pop(wanted, None)
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
            rooms = _RoomLines(snapshot, wanted.names)
            length = rooms.length() + len(own)
            return Body(length, lambda: chain(rooms.parts(), (own,)), length)
        deflated = reuse or _deflate(_RoomLines(snapshot, wanted.names).parts(), version)
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
    """The families of a snapshot that are wanted, each with its header if any room has a line of it."""

    def __init__(self, snapshot: Sequence[Page], names: frozenset[str]) -> None:
        self._snapshot = snapshot
        self._families = [
            (column, _header(metric)) for column, metric in enumerate(ROOM_METRICS) if not names or metric.name in names
        ]

    def length(self) -> int:
        lengths = [
            (len(header), sum(page.length(column) for page in self._snapshot)) for column, header in self._families
        ]
        return sum(header + lines for header, lines in lengths if lines)

    def parts(self) -> Iterator[bytes]:
        """The lines, a page at a time; small pages are put together."""
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


def _header(metric: Metric) -> bytes:
    help_text = metric.help.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {metric.name} {help_text}\n# TYPE {metric.name} {metric.type}\n".encode()
