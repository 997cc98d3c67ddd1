"""The JSON API: the figures of all sources, and the rooms page by page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from exporter.blocking import Turn
from exporter.cluster.status import ClusterStatus
from exporter.metrics import catalogue
from exporter.metrics.discovery_stats import DiscoveryFigures, ProviderFigures
from exporter.metrics.room import RoomView
from exporter.metrics.source_stats import FailureNote, SourceStats
from exporter.metrics.table import Table
from exporter.metrics.telemetry import Telemetry
from exporter.model import Severity
from exporter.rooms.provider import Origin, Result
from exporter.web import answered
from exporter.web.history import History
from exporter.web.openapi import ROOMS_PARAMETERS, description
from exporter.web.parameters import DEFAULT_LIMIT, ParameterError, encode_cursor, rooms_query
from exporter.web.process import Process
from exporter.web.rooms import Order, Rooms

_ROOMS_NAMED: Final = 10


class Api:
    """The endpoints under ``/api/v1/``."""

    def __init__(self, table: Table, telemetry: Telemetry, process: Process, history: History, rooms: Rooms) -> None:
        self._table = table
        self._history = history
        self._rooms = rooms
        self._telemetry = telemetry
        self._process = process

    async def sources(self, request: web.Request) -> web.Response:
        if request.query:
            return _refusal(_unknown(request))
        monotonic, unix = self._process.monotonic(), self._process.unix()
        self._table.expire(monotonic)
        sources: list[answered.Source] = []
        turn = Turn()
        for source in list(self._telemetry.sources.values()):
            sources.append(self._source(source, monotonic, unix))
            await turn.let_others_run()
        shard = self._process.shard
        return _json(
            answered.Sources(unix, sources, answered.Shard(shard.ordinal, shard.total) if shard is not None else None)
        )

    async def rooms(self, request: web.Request) -> web.Response:
        try:
            names = [name for name, _ in self._table]
            query = rooms_query(request.query.items(), names, ROOMS_PARAMETERS, Order.ROOM, DEFAULT_LIMIT)
        except ParameterError as error:
            return _refusal(str(error))
        now = self._process.monotonic()
        self._table.expire(now)
        found = await self._rooms.find(query, now)
        rooms = []
        turn = Turn()
        for name, view in found.rooms:
            if name in self._telemetry.sources and view.room.id in self._table[name]:
                stats = self._telemetry.sources[name]
                own = self._process.own_interval(name, view.room.id)
                rooms.append(_room(stats, view, own.seconds if own else stats.interval, now))
            await turn.let_others_run()
        cursor = None if found.next is None else encode_cursor(found.next)
        headers = {}
        if cursor is not None:
            parameters = [(name, value) for name, value in request.query.items() if name != "after"]
            headers["Link"] = f'<?{urlencode([*parameters, ("after", cursor)])}>; rel="next"'
        return _json(answered.Rooms(rooms, found.matching, cursor), headers)

    async def cluster(self, request: web.Request) -> web.Response:
        if request.query:
            return _refusal(_unknown(request))
        status = self._process.cluster()
        if status is None:
            return _refusal("this exporter is no replica: its config has no key 'cluster'", 404)
        return _json(_cluster(status, self._process.unix()))

    async def openapi(self, request: web.Request) -> web.Response:
        if request.query:
            return _refusal(_unknown(request))
        return web.Response(body=description(), content_type="application/json")

    def _source(self, source: SourceStats, monotonic: float, unix: float) -> answered.Source:
        figures = source.figures(monotonic)
        budget = self._telemetry.budgets.get(source.budget)
        last_success = source.last_success if figures.polled else None
        exceeding = dict.fromkeys(Severity, 0) if figures.hidden else source.table.exceeding()
        return answered.Source(
            source=source.source,
            vendor=source.vendor,
            api=source.api,
            polled=figures.polled,
            state=figures.state if figures.polled else None,
            up=figures.up if figures.polled else None,
            users=figures.published_users,
            rooms=dict(figures.rooms),
            known_rooms=0 if figures.hidden else source.table.known,
            published_rooms=0 if figures.hidden else figures.published_rooms,
            user_seconds=None
            if figures.hidden or source.table.user_seconds is None
            else source.table.told_user_seconds,
            rooms_above=answered.RoomsAbove(sum(exceeding.values()), exceeding[Severity.CRITICAL]),
            interval_seconds=figures.interval,
            achieved_interval_seconds=figures.achieved_interval if figures.polled else None,
            oldest_reading_timestamp_seconds=figures.oldest_reading,
            last_success_timestamp_seconds=figures.last_success if figures.polled else None,
            last_success_age_seconds=None if last_success is None else monotonic - last_success,
            clock_skew_seconds=figures.clock_skew if figures.polled else None,
            clock_shift_seconds=figures.clock_shift,
            calls=figures.calls,
            failed_calls=dict(figures.failed_calls),
            unrequested_rooms=figures.unrequested,
            budget=answered.Budget(
                name=source.budget,
                limit_calls_per_second=budget.limit if budget else None,
                pace_calls_per_second=budget.pace if budget else None,
                calls=budget.calls if budget else None,
                lately_calls_per_second=self._lately(source.budget, monotonic),
                owner=self._owner(source.budget),
            ),
            failures=tuple(_failure(note, unix) for note in reversed(source.failures)),
            discovery=_discovery(self._telemetry.discovery(source.source), unix),
        )

    def _owner(self, budget: str) -> str | None:
        status = self._process.cluster()
        return None if status is None else status.owner(budget)

    def _lately(self, name: str, now: float) -> float | None:
        budget = self._telemetry.budgets.get(name)
        return self._history.calls_per_second(name, budget.calls, now) if budget else None


def _cluster(status: ClusterStatus, unix: float) -> answered.Cluster:
    return answered.Cluster(
        timestamp_seconds=unix,
        name=status.name,
        replica=status.replica,
        engine=status.engine,
        serve=status.serve,
        lease_seconds=status.lease,
        connected=status.connected,
        error=status.error,
        refused=status.refused,
        replicas=[
            answered.Replica(replica.name, replica.address, replica.config, replica.silent, replica.budgets)
            for _, replica in sorted(status.replicas.items())
        ],
        budgets=[
            answered.HeldBudget(name, budget.owner, budget.wished, budget.held_until)
            for name, budget in sorted(status.budgets.items())
        ],
    )


def _room(source: SourceStats, view: RoomView, interval: float, now: float) -> answered.Room:
    thresholds = view.room.thresholds
    values = source.table.values(view.room.id)
    exists = values.get(catalogue.ROOM_EXISTS)
    return answered.Room(
        source=source.source,
        vendor=source.vendor,
        api=source.api,
        room=view.room.id,
        labels=dict(view.room.labels),
        thresholds=answered.Thresholds(thresholds.warning, thresholds.critical),
        state=view.state,
        users=view.users,
        admin_users=_whole(values.get(catalogue.ROOM_ADMIN_USERS)),
        invisible_users=_whole(values.get(catalogue.ROOM_INVISIBLE_USERS)),
        exists=None if exists is None else bool(exists),
        reading_timestamp_seconds=values.get(catalogue.ROOM_READING_TIMESTAMP),
        read_by=None if view.arrival is None else "vendor_list" if view.arrival.listed else "poll",
        age_seconds=view.age,
        above=view.above.severity if view.above else None,
        above_seconds=now - view.above.since if view.above else None,
        last_known_users=view.last_known,
        share_of_threshold=view.share,
        interval_seconds=interval,
        published=view.published,
        published_for=view.reason,
        user_seconds=view.user_seconds,
    )


def _whole(count: float | None) -> int | None:
    return None if count is None else int(count)


def _discovery(figures: DiscoveryFigures | None, unix: float) -> answered.Discovery | None:
    if figures is None:
        return None
    callbacks = figures.callbacks
    return answered.Discovery(
        providers=tuple(_provider(each, unix) for each in figures.providers),
        rooms=dict(figures.lives),
        rooms_limit=figures.limit,
        added=dict(figures.added),
        dropped=dict(figures.dropped),
        rejected=dict(figures.rejected),
        callbacks=answered.Callbacks(dict(callbacks.results), callbacks.last_event) if callbacks else None,
    )


def _provider(figures: ProviderFigures, unix: float) -> answered.Provider:
    success = figures.last_success
    return answered.Provider(
        name=figures.name,
        origin=Origin(figures.origin),
        rooms=figures.rooms,
        interval_seconds=figures.interval,
        last_success_timestamp_seconds=success,
        last_success_age_seconds=None if success is None else max(0.0, unix - success),
        counts=figures.counts,
        last_result=None if figures.result is None else Result(figures.result),
        error=figures.error,
        warning=figures.warning,
    )


def _failure(note: FailureNote, unix: float) -> answered.FailedCall:
    return answered.FailedCall(
        timestamp_seconds=note.unix,
        age_seconds=max(0.0, unix - note.unix),
        reason=note.failure.kind,
        code=note.failure.code,
        meaning=note.failure.words,
        rooms=note.rooms[:_ROOMS_NAMED],
        more_rooms=max(0, len(note.rooms) - _ROOMS_NAMED),
    )


def _unknown(request: web.Request) -> str:
    return f"unknown parameter {next(iter(request.query))[:80]!r}; accepted: none"


def _refusal(message: str, status: int = 400) -> web.Response:
    return _json(answered.Refusal(message), status=status)


def _json(answer: msgspec.Struct, headers: Mapping[str, str] | None = None, status: int = 200) -> web.Response:
    try:
        body = msgspec.json.encode(answer)
    except UnicodeEncodeError:  # halves of characters; the library at hand writes them as escape sequences
        body = json.dumps(msgspec.to_builtins(answer)).encode()
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
