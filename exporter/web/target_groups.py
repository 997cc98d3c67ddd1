"""
``/sd/rooms``: the watched rooms in the form of Prometheus' http_sd, for a Prometheus or for another exporter.

::

    [{"targets": ["lobby", "stage"],
      "labels": {"event": "launch", "__meta_rtc_vendor": "zego", "__meta_rtc_api": "zego_rtc",
                 "__meta_rtc_source": "live"}}]

There is a group for each source and each set of labels that rooms of it have. Whoever reads the list drops what it no
longer holds, so there is no list, but an error, while this process has not looked at its sources yet, for a source
whose rooms are still being found after a start, and for a source that does not exist: a reader keeps the list from
before then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec
from aiohttp import web
from isal import isal_zlib

from exporter.blocking import Turn
from exporter.metrics.table import SourceTable, Table
from exporter.metrics.telemetry import Telemetry
from exporter.web.answered import Refusal
from exporter.web.negotiation import accepts_gzip
from exporter.web.process import Process

_SLICE: Final = 1_000
_LEVEL: Final = 1
_GZIP_WINDOW: Final = 31
_PIECE: Final = 64 * 1024
_LONGEST_HEADER: Final = 1_024
_TYPE: Final = "application/json"

_Labels: TypeAlias = tuple[tuple[str, str], ...]
_List: TypeAlias = tuple[dict[str, str], dict[_Labels, list[str]]]
"""Labels of a source, and its room ids by their labels."""


class TargetGroups:
    """Answers ``/sd/rooms``. Two lists at a time are put together; the others wait for their turn."""

    def __init__(self, table: Table, telemetry: Telemetry, process: Process) -> None:
        self._table = table
        self._telemetry = telemetry
        self._process = process
        self._turns = asyncio.Semaphore(2)

    async def get(self, request: web.Request) -> web.StreamResponse:
        others = [name for name in request.query if name != "source"]
        if others:
            return _refusal(400, f"unknown parameter {others[0][:80]!r}; accepted: source")
        if len(request.query) > 1:
            return _refusal(400, "parameter 'source' is given more than once; accepted: once")
        if why_not := self._process.ready():
            return _refusal(503, f"not ready, so there is no list yet: {why_not}")
        names = [name for name, _ in self._table]
        source = request.query.get("source", "")
        if source in self._telemetry.sources and source not in names:
            return _refusal(503, f"another replica of the cluster polls {source}: its list is there")
        if source and source not in names:
            accepted = ", ".join(names) or "none, there are no sources"
            return _refusal(404, f"source={source[:80]!r}; accepted: {accepted}")
        wanted = [source] if source else names
        for name in wanted:
            if why_not := self._process.incomplete(name):
                return _refusal(503, f"rooms of {name} are still being found, so there is no list yet: {why_not}")
        async with self._turns:
            lists = [await self._list(name) for name in wanted]
        return await _send(request, lists)

    async def _list(self, name: str) -> _List:
        by_labels: dict[_Labels, list[str]] = {}
        if name not in self._table or name not in self._telemetry.sources:
            return {}, by_labels
        table, of_source = self._table[name], self._telemetry.sources[name]
        turn = Turn()
        for room_ids in _slices(table):
            for room in table.rooms_of(room_ids):
                by_labels.setdefault(room.labels, []).append(room.id)
            await turn.let_others_run()
        own = {"__meta_rtc_vendor": of_source.vendor, "__meta_rtc_api": of_source.api, "__meta_rtc_source": name}
        return own, by_labels


def _slices(table: SourceTable) -> Iterator[list[str]]:
    room_ids = list(table)
    for start in range(0, len(room_ids), _SLICE):
        yield room_ids[start : start + _SLICE]


async def _send(request: web.Request, lists: list[_List]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": _TYPE, "Vary": "Accept-Encoding"})
    accepted = ",".join(request.headers.getall("Accept-Encoding", []))[:_LONGEST_HEADER]
    gzip = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP_WINDOW) if accepts_gzip(accepted) else None
    if gzip:
        response.headers["Content-Encoding"] = "gzip"
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    turn, piece = Turn(), bytearray()
    for part in _parts(lists):
        piece += gzip.compress(part) if gzip else part
        if len(piece) > _PIECE:
            await response.write(bytes(piece))
            piece.clear()
        await turn.let_others_run()
    await response.write(bytes(piece) + (gzip.flush() if gzip else b""))
    return response


def _parts(lists: list[_List]) -> Iterator[bytes]:
    """All groups as JSON, a thousand rooms at a time. What is sent is freed at once, and not all of it in the end."""
    opening = b'[{"targets":['
    for of_source, by_labels in lists:
        for labels in list(by_labels):
            yield opening
            opening = b',\n{"targets":['
            room_ids = by_labels.pop(labels)
            for start in range(0, len(room_ids), _SLICE):
                part = msgspec.json.encode(room_ids[start : start + _SLICE])[1:-1]
                yield b"," + part if start else part
            yield b'],"labels":' + msgspec.json.encode(dict(labels) | of_source) + b"}"
    yield b"]\n" if opening[:1] == b"," else b"[]\n"


def _refusal(status: int, message: str) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(Refusal(message)), content_type=_TYPE)
