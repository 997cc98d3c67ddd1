"""The simulator: one aiohttp server for six vendor APIs and its own control API."""

import asyncio
import ssl
from ipaddress import ip_address

from aiohttp import web

from exporter.simulator import delivery, user_lists
from exporter.simulator.apps import Credentials
from exporter.simulator.calls import CallLog
from exporter.simulator.clock import Clock
from exporter.simulator.control import Control
from exporter.simulator.courier import Courier
from exporter.simulator.desk import Case, Desk
from exporter.simulator.exchange import Received
from exporter.simulator.faults import Fault, Faults
from exporter.simulator.limits import Limits
from exporter.simulator.settings import Settings
from exporter.simulator.traffic import TICK, Traffic
from exporter.simulator.world import World
from exporter.simulator.worlds import Worlds

SHUTDOWN_GRACE = 0.5
"""Seconds for running answers when the simulator stops; a call that hangs would never end."""

_LONGEST_LINE = 32 * 1024
_TIME_TO_ANSWER = 0.05


class Simulator:
    """
    All six vendor APIs on one port.

    Attributes:
        url: `http://host:port` while it runs.
        tls_url: `https://host:port` while it runs, if it was started with a certificate.
        worlds: The world of each app; tests read and change it.
        faults: The injected faults.
        limits: The budgets, with their counters.
        calls: The call log.
        credentials: The apps of the vendors, with their present secrets.
        traffic: Rooms that open and close by themselves.
        courier: Sends the callbacks.
    """

    def __init__(self, settings: Settings | None = None, clock: Clock | None = None) -> None:
        self.settings = settings or Settings()
        self.clock = clock or Clock()
        self.url = self.tls_url = ""
        self.worlds = Worlds(self.settings, self.clock)
        self.faults = Faults(self.clock, self.settings.seed)
        self.limits = Limits(self.settings)
        self.calls = CallLog(self.settings.call_log)
        self.credentials = Credentials(self.settings.apps)
        self.traffic = Traffic(self.worlds, self.clock, self.settings.seed)
        self.courier = Courier(self.clock, self.settings.seed)
        self.worlds.events.followers.append(self.courier.tell)
        self._desk = Desk(
            settings=self.settings,
            worlds=self.worlds,
            calls=self.calls,
            limits=self.limits,
            faults=self.faults,
            credentials=self.credentials,
            clock=self.clock,
        )
        self._runner: web.AppRunner | None = None
        self._listening: list[tuple[str, int, ssl.SSLContext | None]] = []
        self._dark_periods: set[asyncio.Task[None]] = set()
        self._traffic: asyncio.Task[None] | None = None

    @property
    def world(self) -> World:
        """The world of every vendor's first app."""
        return self.worlds.first

    async def start(self, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        """
        Listen; port 0 takes a free one.

        Args:
            tls: With a certificate, everything is on a second, free port over HTTPS, too.

        Raises:
            OSError: The address cannot be listened on.
        """
        user_lists.prepare()
        app = web.Application()
        app.add_routes(Control(self).routes())
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=SHUTDOWN_GRACE,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
            if tls is not None:
                await web.TCPSite(self._runner, host, 0, ssl_context=tls).start()
        except OSError:
            await self.stop()
            raise
        ports = [address[1] for address in self._runner.addresses]
        self.url = _url(host, ports[0])
        self._listening = [(host, ports[0], None)]
        if tls is not None:
            self.tls_url = _url(host, ports[-1], "https")
            self._listening.append((host, ports[-1], tls))

    async def stop(self) -> None:
        """Close the port and all connections."""
        tasks = [*self._dark_periods, *([self._traffic] if self._traffic else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._traffic = None
        await self.courier.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner, self.url, self.tls_url = None, "", ""

    async def go_dark(self) -> None:
        """Reset all connections and refuse new ones until `wake`, also those of the control API."""
        if self._runner is None or self._runner.server is None:
            return
        for site in list(self._runner.sites):
            await site.stop()
        for connection in list(self._runner.server.connections):
            if connection.transport is not None:
                delivery.reset(connection.transport)

    async def wake(self) -> None:
        """Listen again on the same addresses."""
        if self._runner is not None and not self._runner.sites:
            for host, port, tls in self._listening:
                await web.TCPSite(self._runner, host, port, ssl_context=tls).start()

    def go_dark_for(self, seconds: float) -> None:
        """Go dark in a moment, after the answer to the order is sent, and wake after so many seconds."""
        period = asyncio.get_running_loop().create_task(self._go_dark_for(seconds))
        self._dark_periods.add(period)
        period.add_done_callback(self._dark_periods.discard)

    def keep_traffic_going(self) -> None:
        """Open and close rooms as ordered, until the simulator stops."""
        if self._traffic is None:
            self._traffic = asyncio.get_running_loop().create_task(self._keep_traffic_going())

    async def _keep_traffic_going(self) -> None:
        while True:
            self.traffic.step()
            await asyncio.sleep(TICK)

    async def _go_dark_for(self, seconds: float) -> None:
        await self.clock.sleep(_TIME_TO_ANSWER)
        await self.go_dark()
        await self.clock.sleep(seconds)
        await self.wake()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read() if request.body_exists else b""
        received = Received.of(request.method, request.raw_path, request.headers, body)
        # A call counts as received when it is complete, so that times of arrival never decrease, as limits require.
        case = self._desk.open(received, at=self.clock.time(), moment=self.clock.monotonic())
        if case is None:
            return web.Response(status=404, text="No vendor has this path. /_sim lists the APIs.\n")
        try:
            if case.effects.delay:
                await self.clock.sleep(case.effects.delay)
        except asyncio.CancelledError:
            self._desk.log(case, "abandoned")
            raise
        fault = case.effects.decisive
        if fault is not None and fault.kind in ("outage", "reset", "hang"):
            return await self._break(request, case, fault)
        return await self._deliver(request, case, fault)

    async def _break(self, request: web.Request, case: Case, fault: Fault) -> web.Response:
        self._desk.log(case, fault.kind)
        if fault.kind == "hang":
            await (asyncio.Event().wait() if fault.seconds is None else self.clock.sleep(fault.seconds))
        if request.transport is not None:
            delivery.reset(request.transport)
        return web.Response()

    async def _deliver(self, request: web.Request, case: Case, fault: Fault | None) -> web.StreamResponse:
        reply, vendor_time = self._desk.settle(case), self._desk.vendor_time(case)
        if fault is not None and fault.kind == "cut":
            return await delivery.cut(request, reply, vendor_time)
        if fault is not None and fault.kind == "drip":
            return await delivery.drip(request, reply, vendor_time, seconds=fault.seconds or 0.0, clock=self.clock)
        return delivery.response(reply, vendor_time)


def _url(host: str, port: int, scheme: str = "http") -> str:
    """The URL for a client on this machine. A server on all addresses is reached at the loopback address."""
    try:
        address = ip_address(host)
    except ValueError:
        return f"{scheme}://{host}:{port}"
    if address.version == 6:
        return f"{scheme}://[{'::1' if address.is_unspecified else address}]:{port}"
    return f"{scheme}://{'127.0.0.1' if address.is_unspecified else address}:{port}"
