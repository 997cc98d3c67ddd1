"""A backend that lists the open rooms, in the format of Prometheus' HTTP service discovery."""

import asyncio
from typing import Protocol

import msgspec
from aiohttp import web

from exporter.simulator import delivery
from exporter.simulator.clock import Clock
from exporter.simulator.exchange import Reply
from exporter.simulator.faults import Fault, Faults
from exporter.simulator.garbage import spoil
from exporter.simulator.world import World

_FORMS = ("truncated", "empty", "html", "list", "not_utf8", "oversize", "bomb")


class Parts(Protocol):
    """The parts of a simulator that it uses."""

    clock: Clock
    faults: Faults


async def answer(
    parts: Parts, request: web.Request, api: str, app: str, world: World, prefix: str
) -> web.StreamResponse:
    """The rooms that are open now, or the injected fault."""
    effects = parts.faults.effects(api, app, (), "http_sd")
    if effects.delay:
        await parts.clock.sleep(effects.delay)
    now = parts.clock.time()
    rooms = [room for room in world.listed(api, now) if room.startswith(prefix)]
    reply = Reply(200, msgspec.json.encode([{"targets": rooms, "labels": {"app": app}}]), "")
    fault = effects.decisive
    if fault is None:
        return delivery.response(reply, now)
    return await _troubled(parts, request, reply, fault)


async def _troubled(parts: Parts, request: web.Request, reply: Reply, fault: Fault) -> web.StreamResponse:
    now = parts.clock.time()
    if fault.kind in ("outage", "reset", "hang"):
        if fault.kind == "hang":
            await (asyncio.Event().wait() if fault.seconds is None else parts.clock.sleep(fault.seconds))
        if request.transport is not None:
            delivery.reset(request.transport)
        return web.Response()
    if fault.kind == "cut":
        return await delivery.cut(request, reply, now)
    if fault.kind == "drip":
        return await delivery.drip(request, reply, now, seconds=fault.seconds or 0.0, clock=parts.clock)
    if fault.kind == "status":
        return web.Response(status=fault.status or 500, text="out of order\n")
    if fault.kind == "content_type":
        return web.Response(body=reply.body, headers={"Content-Type": fault.message or "text/html"})
    form = fault.form if fault.form in _FORMS else "truncated"
    return delivery.response(spoil(form, "http_sd", reply, parts.faults.dice), now)
