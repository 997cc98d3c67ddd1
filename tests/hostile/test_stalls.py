"""
No single input holds the loop for more than 50 ms: replies and files made for it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from tests.e2e.process import free_port
from tests.hostile.stage import WatchedExporter, config_of
from tests.measuring import best
from tests.polling.wire import serving

pytestmark = pytest.mark.timed
STALL: Final = 0.05
MIB: Final = 2**20
OK: Final = b"HTTP/1.1 200 OK\r\n"
ROOM: Final = '{"RoomId":"a","UserCount":1,"AdminUserCount":0}'


def with_body(body: bytes | str, *headers: bytes) -> bytes:
    """A reply."""
    data = body if isinstance(body, bytes) else body.encode()
    return OK + b"".join(headers) + b"Content-Length: %d\r\n\r\n%b" % (len(data), data)


def zego(entries: str) -> str:
    """What ZEGO answers, with this in its list."""
    return f'{{"Code":0,"Message":"success","RequestId":"1","Data":{{"UserCountList":[{entries}]}}}}'


def packed(data: bytes) -> bytes:
    """A reply of gzip."""
    return with_body(gzip.compress(data, 9), b"Content-Encoding: gzip\r\n")


REPLIES: Final[dict[str, Callable[[], bytes]]] = {
    "interim replies": lambda: b"HTTP/1.1 103 Early Hints\r\n\r\n" * 300_000,
    "replies": lambda: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 200_000,
    "headers": lambda: OK + b"a: b\r\n" * 1_000_000 + b"\r\n",
    "long headers": lambda: with_body("{}", *(b"X-%d: %b\r\n" % (each, b"x" * 32_000) for each in range(100))),
    "chunks": lambda: OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 500_000 + b"0\r\n\r\n",
    "bomb": lambda: packed(bytes(150_000_000)),
    "members": lambda: with_body(gzip.compress(b"") * 380_000, b"Content-Encoding: gzip\r\n"),
    "depth": lambda: with_body(zego("[" * (8 * MIB - 200))),
    "rooms": lambda: with_body(zego(",".join([ROOM] * 160_000))),
    "text": lambda: with_body(zego('"' + "\\u0061" * 1_300_000 + '"')),
    "numbers": lambda: with_body('{"Code":0,"Data":[' + "1," * 4_000_000 + "1]}"),
    "keys": lambda: with_body('{"Code":0,' + ",".join(f'"k{each}":1' for each in range(500_000)) + "}"),
    "one key": lambda: with_body('{"Code":0,' + ",".join(['"UserCount":1'] * 500_000) + "}"),
}
FILES: Final[dict[str, tuple[str, Callable[[], str]]]] = {
    "ids": ("txt", lambda: "\n".join(f"room-{each}" for each in range(200_000))),
    "one line": ("txt", lambda: "x" * (15 * MIB)),
    "empty lines": ("txt", lambda: "\n" * (15 * MIB)),
    "bad ids": ("txt", lambda: "\x01\n" * (7 * MIB)),
    "groups": ("yml", lambda: "\n".join(f"- targets: [r{each}]\n  labels: {{a: b{each}}}" for each in range(100_000))),
    "comments": ("yml", lambda: ("# " + "x" * 60 + "\n") * (15 * MIB // 63) + "[]"),
    "scalar": ("yml", lambda: "- targets: [" + "x" * (15 * MIB) + "]"),
    "escapes": ("json", lambda: '[{"targets": ["' + "\\ud83d\\ude00" * MIB + '"]}]'),
    "tabs": ("json", lambda: "\t" * (15 * MIB) + "[]"),
    "list": ("json", lambda: json.dumps([{"targets": [f"r{each}" for each in range(200_000)]}])),
    "brackets": ("yml", lambda: "[" * (15 * MIB)),
    "repeated ids": ("yml", lambda: "- targets: [" + "a," * (7 * MIB) + "]"),
}
MILLION: Final = 1_000_000
SOURCE: Final = (
    f"sources:\n- name: live\n  api: zego_rtc\n  app_id: 1234567890\n  server_secret: {'0123456789abcdef' * 2}\n"
)
CONFIGS: Final[dict[str, Callable[[], str]]] = {
    "unknown keys": lambda: SOURCE + "".join(f"  k{each}: 1\n" for each in range(MILLION)),
    "keys again": lambda: SOURCE + "  interval: 1\n" * MILLION,
    "no sources": lambda: "sources:\n" + "- \n" * MILLION,
    "bare sources": lambda: "sources:\n" + "- {api: zego_rtc}\n" * 700_000,
    "bad rooms": lambda: SOURCE + "  rooms:\n" + "  - {id: a, x: 1}\n" * 750_000,
    "no rooms files": lambda: SOURCE + "  rooms_files:\n" + "  - a\n" * MILLION,
    "values": lambda: SOURCE + "  rooms: [" + "1," * (7 * MILLION) + "]",
    "secrets": lambda: SOURCE + "  interval: soon\n" + "".join(f"# server_secret: ab{n}\n" for n in range(500_000)),
    "last line": lambda: "\n" * (14 * MILLION) + "]",
    "merges": lambda: SOURCE + "  <<: [" + "{}," * (2 * MILLION) + "]",
}
QUICK: Final = {
    "interim replies",
    "replies",
    "rooms",
    "bomb",
    "members",
    "groups",
    "scalar",
    "one line",
    "unknown keys",
}


def editions(names: dict[str, object]) -> list[object]:
    """The quick ones, and all others in the soak."""
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.soak) for name in names]


async def busy_until_quiet(exporter: WatchedExporter) -> None:
    """Wait until the exporter has nothing to compute."""

    def computed() -> int:
        fields = Path(f"/proc/{exporter.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    for _ in range(40):
        before = computed()
        await asyncio.sleep(1.5)
        if computed() - before < 0.12 * os.sysconf("SC_CLK_TCK"):
            return


@pytest.mark.parametrize("name", editions(dict(REPLIES)))
async def test_reply(tmp_path: Path, name: str) -> None:
    """
    Whatever a vendor sends, every second, for as long as it is read.
    """
    reply = REPLIES[name]()

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await writer.drain()
        writer.close()

    async def stall() -> float:
        async with serving(answer) as (server, url):
            config = config_of(tmp_path, int(url.rpartition(":")[2]), rooms=["a"], interval="1s", timeout="3s")
            async with WatchedExporter(config, "--log.level=error") as exporter:
                await server.asked()
                await exporter.worst_stall()
                await asyncio.sleep(4)
                return await exporter.worst_stall()

    assert STALL > await best(stall, STALL)


@pytest.mark.parametrize("name", editions(dict(FILES)))
async def test_rooms_file(tmp_path: Path, name: str) -> None:
    """
    It is read in a thread, which lets the loop run between two pieces.
    """
    suffix, make = FILES[name]

    async def stall() -> float:
        (tmp_path / f"rooms.{suffix}").unlink(missing_ok=True)
        config = config_of(tmp_path, free_port(), rooms_files=["rooms.txt", "rooms.yml", "rooms.json"])
        async with WatchedExporter(config, "--log.level=error") as exporter:
            await asyncio.sleep(1)
            await exporter.worst_stall()
            (tmp_path / "new").write_text(make())
            (tmp_path / "new").rename(tmp_path / f"rooms.{suffix}")
            await asyncio.sleep(3)
            await busy_until_quiet(exporter)
            return await exporter.worst_stall()

    assert STALL > await best(stall, STALL)


@pytest.mark.parametrize("name", editions(dict(CONFIGS)))
async def test_config(tmp_path: Path, name: str) -> None:
    """
    Whatever a reload finds in a config, it is validated in a thread, in pieces, so that the event loop goes on.
    """

    async def stall() -> float:
        config = config_of(tmp_path, free_port())
        async with WatchedExporter(config, "--log.level=error") as exporter:
            await asyncio.sleep(1)
            await exporter.worst_stall()
            (tmp_path / "new").write_text(CONFIGS[name]())
            (tmp_path / "new").rename(config)
            exporter.signal(signal.SIGHUP)
            await asyncio.sleep(3)
            await busy_until_quiet(exporter)
            return await exporter.worst_stall()

    assert STALL > await best(stall, STALL)


def thousand(name: str, url: str, *, one_limit: bool) -> str:
    """
    A config of a thousand sources, each of an app of its own or all of one, whose calls the vendor counts together.
    """
    keys = f"api: zego_zim, server_secret: {'0123456789abcdef' * 2}, rooms: [a], base_url: '{url}'"
    apps = [1 if one_limit else 1 + number for number in range(1_000)]
    return "sources:\n" + "".join(f"- {{name: {name}-{n}, app_id: {app}, {keys}}}\n" for n, app in enumerate(apps))


@pytest.mark.parametrize(
    ("answers", "one_limit"),
    [
        (True, False),
        pytest.param(False, False, marks=pytest.mark.soak),
        pytest.param(True, True, marks=pytest.mark.soak),
        pytest.param(False, True, marks=pytest.mark.soak),
    ],
)
async def test_a_thousand_sources(tmp_path: Path, *, answers: bool, one_limit: bool) -> None:
    """
    A reload brings them all at once, one puts others in their place, and one takes these away; whether the vendor
    answers them all or refuses their connections.
    """
    reply = with_body(zego(""))

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)

    async def stall() -> float:
        async with serving(answer) as (_, url):
            vendor = url if answers else f"http://127.0.0.1:{free_port()}"
            config = config_of(tmp_path, free_port())
            few = config.read_text()
            texts = [*(thousand(name, vendor, one_limit=one_limit) for name in ("old", "new")), few]
            flags = "--log.level=error", "--web.enable-lifecycle"
            async with WatchedExporter(config, *flags) as exporter, aiohttp.ClientSession() as session:
                await asyncio.sleep(0.5)
                await exporter.worst_stall()
                for text in texts:
                    config.write_text(text)
                    async with session.post(f"{exporter.url}/-/reload") as response:
                        assert 200 == response.status
                    await asyncio.sleep(1.5)
                return await exporter.worst_stall()

    assert STALL > await best(stall, STALL)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /metrics HTTP/1.1\r\nHost: a\r\n" + b"Accept: %b\r\n" % (b"a/b;q=0.1," * 800) * 120 + b"\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: a\r\n" + b"Accept: %b\r\n" % (b"," * 8_000) * 3 + b"\r\n",
        b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n" * 100_000,
        b"\r\n" * 2_000_000,
        b"GET /api/v1/rooms?" + b"state=fresh&" * 600 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /metrics?" + b"name[]=x&" * 800 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["120 Accept headers", "commas", "pipeline", "empty lines", "states", "names"],
)
async def test_request(tmp_path: Path, head: bytes) -> None:
    """
    However long it is, and however many of them come in one piece.
    """

    async def stall() -> float:
        async with WatchedExporter(config_of(tmp_path, free_port()), "--log.level=error") as exporter:
            await asyncio.sleep(1)
            await exporter.worst_stall()
            reader, writer = await asyncio.open_connection("127.0.0.1", exporter.port)
            reading = asyncio.create_task(reader.read())
            writer.write(head)
            await asyncio.wait({asyncio.create_task(writer.drain()), asyncio.create_task(asyncio.sleep(3))}, timeout=3)
            worst = await exporter.worst_stall()
            writer.transport.abort()
            await asyncio.gather(reading, return_exceptions=True)
            return worst

    assert STALL > await best(stall, STALL)
