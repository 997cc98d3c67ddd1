"""Our table, exposition and web server, with rooms that are read when the runner says so."""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import bcrypt
import trustme
import uvloop

from exporter import process
from exporter.metrics.room import Arrival
from exporter.metrics.selection import Arrangement
from exporter.metrics.source_stats import SourceStats
from exporter.metrics.table import SourceTable, Table
from exporter.metrics.telemetry import Telemetry
from exporter.model import Publish, Reading, Room
from exporter.polling.planner import Lane, Planner
from exporter.web.server import WebServer
from tests.benchmarks.scraper import LOGIN
from tests.benchmarks.servers import site
from tests.benchmarks.servers.orders import Order, obey
from tests.benchmarks.servers.rooms import LABELS, SOURCE, Turn, room_id
from tests.benchmarks.servers.ticker import Ticker

_NEVER = 1e9
_GENERATION = 1_000
_BATCH = 10


class Rooms:
    """
    One source's rooms, and the readings that come in.

    Args:
        top: So many of them have series; ``None``: all.
    """

    def __init__(self, count: int, top: int | None = None) -> None:
        self.source = SourceTable(LABELS, max_staleness=_NEVER)
        for _ in self.source.arrange(Arrangement(None if top is None else Publish(top))):
            pass
        self.source.watch(Room(room_id(number)) for number in range(count))
        self._turn = Turn(count)
        self.change(count)

    def change(self, count: float) -> str:
        """Publish new readings of so many rooms."""
        arrival = Arrival(time.monotonic(), time.time())
        said = [(room_id(number), Reading(users, admin)) for number, users, admin in self._turn.take(int(count))]
        for start in range(0, len(said), _BATCH):
            self.source.record(dict(said[start : start + _BATCH]), arrival)
        return "changed"

    def churn(self, count: float) -> str:
        """Watch, read and drop so many rooms, a thousand at a time, beside those that stay."""
        planner = Planner(_BATCH, 10.0, time.monotonic)
        for first in range(0, int(count), _GENERATION):
            come = [Room(f"guest-{secrets.token_hex(8)}-{first + number}") for number in range(_GENERATION)]
            self.source.watch(come)
            planner.watch(come)
            arrival = Arrival(time.monotonic(), time.time())
            while batch := planner.take(Lane.REGULAR, arrival.monotonic + 1):
                self.source.record(dict.fromkeys(batch, Reading(len(batch), 0)), arrival)
                planner.read(batch, arrival.monotonic + 2)
            gone = [room.id for room in come]
            self.source.forget(gone)
            planner.forget(gone)
        return "churned"


def guards(folder: Path) -> Path:
    """A web config with TLS and a user."""
    leaf = trustme.CA().issue_cert("localhost")
    leaf.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    user, _, password = LOGIN.partition(":")
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(10)).decode()
    file = folder / "web.yml"
    file.write_text(
        f"tls_server_config: {{cert_file: server.pem, key_file: server.pem}}\nbasic_auth_users: {{{user}: {hashed}}}\n"
    )
    return file


@asynccontextmanager
async def serving(
    count: int, config_file: Path | None = None, top: int | None = None
) -> AsyncIterator[tuple[WebServer, Rooms]]:
    """A web server with so many rooms."""
    table, telemetry, rooms = Table(), Telemetry(), Rooms(count, top)
    table.replace({LABELS["source"]: rooms.source})
    telemetry.sources[LABELS["source"]] = SourceStats(*SOURCE, "zego-main", 10.0, rooms.source)
    async with site.serving(table, telemetry, config_file) as web:
        yield web, rooms


async def main(count: int, *, ticking: bool, guarded: bool, top: int | None) -> None:
    """Serve until stdin ends."""
    process.prepare()
    with tempfile.TemporaryDirectory() as folder:
        await _serve(count, guards(Path(folder)) if guarded else None, ticking=ticking, top=top)


async def _serve(count: int, config_file: Path | None, *, ticking: bool, top: int | None) -> None:
    async with serving(count, config_file, top) as (web, rooms):
        orders: dict[str, Order] = {"change": rooms.change, "churn": rooms.churn}
        if ticking:
            orders["gap"] = Ticker().longest
        await obey(web.port, orders)


if __name__ == "__main__":
    tops = [int(word.removeprefix("top=")) for word in sys.argv if word.startswith("top=")]
    fullest = tops[0] if tops else None
    uvloop.run(main(int(sys.argv[1]), ticking="ticking" in sys.argv, guarded="guarded" in sys.argv, top=fullest))
