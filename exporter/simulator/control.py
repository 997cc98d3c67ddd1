"""The control API under `/_sim`: tests in other processes read the truth and change the simulator."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import wraps
from typing import Protocol

import msgspec
from aiohttp import web

from exporter.simulator import http_sd, orders
from exporter.simulator.apps import Credentials
from exporter.simulator.calls import CallLog
from exporter.simulator.clock import Clock
from exporter.simulator.courier import CallbackOrder, Courier
from exporter.simulator.faults import Fault, Faults
from exporter.simulator.limits import Limits
from exporter.simulator.settings import APIS, DOCUMENTED_LIMITS, Settings
from exporter.simulator.traffic import Traffic, TrafficOrder
from exporter.simulator.world import World
from exporter.simulator.worlds import Worlds

MOST_ROWS = 10_000
"""Most rooms or calls in one answer."""

_SLICE = 200
"""Rows made without a pause. Vendor calls must run in between, or several would get the same time of arrival."""


class Parts(Protocol):
    """The parts of a `Simulator` that the control API uses."""

    settings: Settings
    clock: Clock
    worlds: Worlds
    calls: CallLog
    limits: Limits
    faults: Faults
    credentials: Credentials
    traffic: Traffic
    courier: Courier

    def keep_traffic_going(self) -> None:
        """From now on rooms open and close as they are ordered to."""
        ...

    def go_dark_for(self, seconds: float) -> None:
        """Refuse every connection for so many seconds."""
        ...


class Control:
    """The control API. Answers are JSON. An invalid request gets status 400 and the reason."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[web.RouteDef]:
        """The routes below `/_sim`."""
        return [
            web.get("/_sim", _reasoned(self._index)),
            web.get("/_sim/rooms", _reasoned(self._rooms)),
            web.post("/_sim/rooms", _reasoned(self._order_rooms)),
            web.get("/_sim/calls", _reasoned(self._calls)),
            web.get("/_sim/limits", _reasoned(self._limits)),
            web.post("/_sim/limits", _reasoned(self._order_limit)),
            web.delete("/_sim/limits", _reasoned(self._forget_limits)),
            web.get("/_sim/faults", _reasoned(self._faults)),
            web.post("/_sim/faults", _reasoned(self._order_fault)),
            web.delete("/_sim/faults", _reasoned(self._clear_faults)),
            web.post("/_sim/secrets", _reasoned(self._rotate_secret)),
            web.post("/_sim/darkness", _reasoned(self._order_darkness)),
            web.get("/_sim/traffic", _reasoned(self._traffic)),
            web.post("/_sim/traffic", _reasoned(self._order_traffic)),
            web.delete("/_sim/traffic", _reasoned(self._end_traffic)),
            web.get("/_sim/events", _reasoned(self._events)),
            web.get("/_sim/callbacks", _reasoned(self._callbacks)),
            web.post("/_sim/callbacks", _reasoned(self._order_callbacks)),
            web.delete("/_sim/callbacks", _reasoned(self._end_callbacks)),
            web.post("/_sim/callbacks/send", _reasoned(self._send_callback)),
            web.get("/_sim/http_sd/{api}", _reasoned(self._http_sd)),
        ]

    async def _index(self, request: web.Request) -> web.Response:
        """An overview, with the credentials for calling the vendors."""
        _parameters(request)
        apps = self._parts.settings.apps
        return _json(
            {
                "now": self._parts.clock.time(),
                "apis": {api: {"rooms": len(self._parts.worlds.first.room_ids(api))} for api in APIS},
                "credentials": {
                    "zego": [{"app_id": app.app_id, "server_secret": app.server_secret} for app in apps.zego],
                    "tencent": [
                        {"sdk_app_id": app.sdk_app_id, "identifier": app.identifier, "secret_key": app.secret_key}
                        for app in apps.tencent
                    ],
                    "volcengine": [
                        {
                            "app_id": app.app_id,
                            "access_key_id": app.access_key_id,
                            "secret_access_key": app.secret_access_key,
                        }
                        for app in apps.volcengine
                    ],
                },
                "endpoints": [f"{route.method} {route.path}" for route in self.routes()],
            }
        )

    async def _rooms(self, request: web.Request) -> web.Response:
        """The true states of an app's rooms now; with `from` and `to`, all true states in that window."""
        query = _parameters(request, "api", "room", "app", "prefix", "limit", "offset", "from", "to")
        api = orders.one_of("api", query.get("api"), APIS)
        world = orders.world_of(self._parts.worlds, api, query.get("app"))
        limit = orders.whole("limit", query.get("limit", "1000"), least=1, most=MOST_ROWS)
        offset = orders.whole("offset", query.get("offset", "0"), least=0, most=10**9)
        if "room" in query:
            named = request.query.getall("room")
        else:
            named = [room for room in world.known(api) if room.startswith(query.get("prefix", ""))]
        page = named[offset : offset + limit]
        if "from" not in query and "to" not in query:
            return await _json_rows(
                {"api": api, "now": self._parts.clock.time(), "total": len(named)}, "rooms", _now(world, api, page)
            )
        start, end = (orders.moment(name, query.get(name)) for name in ("from", "to"))
        head = {"api": api, "from": start, "to": end, "total": len(named)}
        return await _json_rows(head, "rooms", _history(world, api, page, start, end))

    async def _order_rooms(self, request: web.Request) -> web.Response:
        """Apply one `orders.RoomOrder`, or a list of them: all or none."""
        _parameters(request)
        given = msgspec.json.decode(await request.read(), type=orders.RoomOrder | list[orders.RoomOrder])
        room_orders = given if isinstance(given, list) else [given]
        worlds = [orders.world_of(self._parts.worlds, order.api, order.app) for order in room_orders]
        for world, order in zip(worlds, room_orders, strict=True):
            orders.carry_out(order, world)
        return _json(
            {
                "rooms": [
                    {"room": order.room, **world.state(order.api, order.room)._asdict()}
                    for world, order in zip(worlds, room_orders, strict=True)
                ]
            }
        )

    async def _calls(self, request: web.Request) -> web.Response:
        """The calls after number `since`. `lost`: how many of them are no longer kept; `next`: the next `since`."""
        query = _parameters(request, "since", "api", "limit")
        since = orders.whole("since", query.get("since", "0"), least=0, most=10**15)
        limit = orders.whole("limit", query.get("limit", "1000"), least=1, most=MOST_ROWS)
        api = orders.one_of("api", query["api"], APIS) if "api" in query else None
        log = self._parts.calls
        calls = log.since(since, limit=limit, api=api)
        head = {
            "capacity": log.capacity,
            "oldest": log.oldest,
            "last": log.last,
            "lost": max(0, log.oldest - since - 1),
            "next": calls[-1].number if len(calls) == limit else log.last,
        }
        rows = (call._asdict() | {"counts": [count._asdict() for count in call.counts]} for call in calls)
        return await _json_rows(head, "calls", rows)

    async def _limits(self, request: web.Request) -> web.Response:
        """All budgets in use: limit, calls, rejected calls, and most calls in a sliding second."""
        _parameters(request)
        return _json({"limits": self._parts.limits.report()})

    async def _order_limit(self, request: web.Request) -> web.Response:
        _parameters(request)
        order = msgspec.json.decode(await request.read(), type=orders.LimitOrder)
        self._parts.limits.change(
            orders.one_of("limit", order.limit, tuple(DOCUMENTED_LIMITS)), order.calls, order.holder
        )
        return _json({"limits": self._parts.limits.report()})

    async def _forget_limits(self, request: web.Request) -> web.Response:
        """Reset the counters of all budgets."""
        _parameters(request)
        self._parts.limits.reset_counters()
        return _json({"limits": self._parts.limits.report()})

    async def _faults(self, request: web.Request) -> web.Response:
        _parameters(request)
        now = self._parts.clock.monotonic()
        in_force = [
            {
                "number": order.number,
                "seconds_left": None if order.until is None else order.until - now,
                "fault": order.fault,
            }
            for order in self._parts.faults.orders()
        ]
        return _json({"faults": in_force})

    async def _order_fault(self, request: web.Request) -> web.Response:
        """Activate one `faults.Fault`."""
        _parameters(request)
        fault = msgspec.json.decode(await request.read(), type=Fault)
        return _json({"number": self._parts.faults.order(fault)})

    async def _clear_faults(self, request: web.Request) -> web.Response:
        """End all faults, or the one with this `number`."""
        query = _parameters(request, "number")
        number = orders.whole("number", query["number"], least=1, most=10**9) if "number" in query else None
        if number is not None and number not in {order.number for order in self._parts.faults.orders()}:
            raise ValueError(f"number: no fault {number} is in force")
        self._parts.faults.clear(number)
        return _json({"faults": len(self._parts.faults.orders())})

    async def _rotate_secret(self, request: web.Request) -> web.Response:
        """Apply one `orders.SecretOrder`: the old secret is invalid from now on."""
        _parameters(request)
        order = msgspec.json.decode(await request.read(), type=orders.SecretOrder)
        try:
            self._parts.credentials.rotate(order.vendor, order.app, order.secret)
        except KeyError:
            raise ValueError(f"app: {order.vendor} has no app {order.app!r}") from None
        return _json({"vendor": order.vendor, "app": order.app})

    async def _order_darkness(self, request: web.Request) -> web.Response:
        """Apply one `orders.DarknessOrder`: no connections are accepted for so long, also none for this API."""
        _parameters(request)
        order = msgspec.json.decode(await request.read(), type=orders.DarknessOrder)
        self._parts.go_dark_for(order.seconds)
        return _json({"seconds": order.seconds})

    async def _traffic(self, request: web.Request) -> web.Response:
        """The traffic in force: which rooms open and close by themselves."""
        _parameters(request)
        return _json({"traffic": self._parts.traffic.report()})

    async def _order_traffic(self, request: web.Request) -> web.Response:
        """One `traffic.TrafficOrder`, at work from now on."""
        _parameters(request)
        self._parts.traffic.order(msgspec.json.decode(await request.read(), type=TrafficOrder))
        self._parts.keep_traffic_going()
        return _json({"traffic": self._parts.traffic.report()})

    async def _end_traffic(self, request: web.Request) -> web.Response:
        _parameters(request)
        self._parts.traffic.end()
        return _json({"traffic": []})

    async def _events(self, request: web.Request) -> web.Response:
        """The events of rooms after number `since`. As with calls, the oldest are forgotten."""
        query = _parameters(request, "since", "limit")
        since = orders.whole("since", query.get("since", "0"), least=0, most=10**15)
        limit = orders.whole("limit", query.get("limit", "1000"), least=1, most=MOST_ROWS)
        log = self._parts.worlds.events
        events = log.since(since, limit=limit)
        head = {
            "last": log.last,
            "lost": max(0, log.oldest - since - 1),
            "next": events[-1].number if events else log.last,
        }
        return await _json_rows(head, "events", (event._asdict() for event in events))

    async def _callbacks(self, request: web.Request) -> web.Response:
        """Who is told of what happens, and what became of it."""
        _parameters(request)
        return _json({"callbacks": self._parts.courier.report()})

    async def _order_callbacks(self, request: web.Request) -> web.Response:
        """One `courier.CallbackOrder`."""
        _parameters(request)
        order = msgspec.json.decode(await request.read(), type=CallbackOrder)
        self._parts.courier.subscribe(order, self._parts.worlds.app(order.api, order.app))
        return _json({"callbacks": self._parts.courier.report()})

    async def _end_callbacks(self, request: web.Request) -> web.Response:
        _parameters(request)
        self._parts.courier.unsubscribe()
        return _json({"callbacks": []})

    async def _send_callback(self, request: web.Request) -> web.Response:
        """One `orders.SendOrder`: a callback of what has not happened."""
        _parameters(request)
        order = msgspec.json.decode(await request.read(), type=orders.SendOrder)
        app = self._parts.worlds.app(order.api, order.app)
        event = order.event(app, self._parts.clock.time())
        if not self._parts.courier.send(event, forged=order.forged):
            raise ValueError(f"api: nobody is to be told of {order.api}; order POST /_sim/callbacks first")
        return _json({"callbacks": self._parts.courier.report()})

    async def _http_sd(self, request: web.Request) -> web.StreamResponse:
        """The open rooms of an app, as http_sd: every page of the simulator's own is ordinary but this."""
        query = _parameters(request, "app", "prefix")
        api = orders.one_of("api", request.match_info["api"], APIS)
        world = orders.world_of(self._parts.worlds, api, query.get("app"))
        app = self._parts.worlds.app(api, query.get("app"))
        return await http_sd.answer(self._parts, request, api, app, world, query.get("prefix", ""))


def _now(world: World, api: str, rooms: list[str]) -> Iterable[object]:
    for room in rooms:
        yield {"room": room, **world.state(api, room)._asdict()}


def _history(world: World, api: str, rooms: list[str], start: float, end: float) -> Iterable[object]:
    for room in rooms:
        states = world.states(api, room, start, end)
        yield {
            "room": room,
            **{field: sorted({getattr(state, field) for state in states}) for field in states[0]._fields},
        }


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _reasoned(handler: _Handler) -> _Handler:
    """Turn an exception of a handler into status 400 and the reason."""

    @wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (msgspec.DecodeError, ValueError) as error:
            return _json({"error": str(error)}, status=400)

    return answer


def _parameters(request: web.Request, *known: str) -> dict[str, str]:
    if unknown := set(request.query) - set(known):
        raise ValueError(f"unknown parameter {', '.join(sorted(unknown))}; known are {', '.join(known) or 'none'}")
    return dict(request.query)


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(document) + b"\n", content_type="application/json")


async def _json_rows(head: Mapping[str, object], name: str, rows: Iterable[object]) -> web.Response:
    """A JSON object of the head and a list; the list is made slice by slice."""
    encoded: list[bytes] = []
    for number, row in enumerate(rows, start=1):
        encoded.append(msgspec.json.encode(row))
        if number % _SLICE == 0:
            await asyncio.sleep(0)
    return _json({**head, name: msgspec.Raw(b"[" + b",".join(encoded) + b"]")})
