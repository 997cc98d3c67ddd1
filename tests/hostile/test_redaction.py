"""
A vendor that sends back what it was sent: as its code it is not heard of, in log, page, JSON, metrics or `probe`.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from contextlib import AsyncExitStack
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e.process import ExporterProcess
from tests.hostile.stage import SOURCE
from tests.polling.wire import Server, serving, write

TENCENT = {"name": "im", "api": "tencent_im", "sdk_app_id": 1400000000, "identifier": "administrator"}
VOLCENGINE = {"name": "volc", "api": "volcengine_rtc", "app_id": "661e", "access_key_id": "AKLT"}
SOURCES: list[dict[str, object]] = [
    SOURCE,
    {**TENCENT, "secret_key": "0123456789abcdef" * 4},
    {**VOLCENGINE, "secret_access_key": "s3cr3t" * 8},
]


def derived(head: bytes) -> str:
    """What a request was signed with."""
    target = head.split(b" ")[1].decode()
    query = parse_qs(urlsplit(target).query)
    if found := re.search(rb"Signature=([0-9a-f]+)", head):
        return found[1].decode()
    return (query.get("Signature") or query["usersig"])[0]


SHAPES = {"whole": "{0}", "in a code": "SignatureDoesNotMatch.{0}", "in part": "{1}", "in capitals": "x{2}y"}


class Echo:
    """
    A vendor whose code is what a request was signed with.
    """

    def __init__(self, shape: str) -> None:
        self.sent: list[str] = []
        self.twice = asyncio.Event()
        self.server: Server | None = None
        self._shape = shape

    async def answer(self, number: int, writer: asyncio.StreamWriter) -> None:
        """Refuse a call."""
        assert self.server
        signed = derived(self.server.requests[-1])
        self.sent.append(signed)
        if len(self.sent) > 1:
            self.twice.set()
        code = self._shape.format(signed[:60], signed[:30], signed.upper()[4:34])
        document = {"Code": code, "ErrorCode": code, "ResponseMetadata": {"Error": {"Code": code}}}
        body = json.dumps(document).encode()
        await write(writer, b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
async def test_code_that_echoes_a_signature(tmp_path, shape):
    """
    Whole, in the middle of a true code, in part, or in another case.
    """
    config = tmp_path / "exporter.yml"
    async with AsyncExitStack() as stack:
        vendors, sources = [Echo(shape) for _ in SOURCES], []
        for vendor, source in zip(vendors, SOURCES, strict=True):
            vendor.server, url = await stack.enter_async_context(serving(vendor.answer))
            sources.append({**source, "base_url": url, "rooms": ["lobby"]})
        config.write_text(json.dumps({"sources": sources}))
        exporter = await stack.enter_async_context(ExporterProcess(config, "--log.level=debug"))
        async with asyncio.timeout(30):
            await asyncio.gather(*(vendor.twice.wait() for vendor in vendors))
        await asyncio.sleep(0.5)
        paths = ["/", "/metrics", "/api/v1/sources", *(f"/rooms?source={each['name']}&room=lobby" for each in SOURCES)]
        shown = [(await exporter.text(path))[1] for path in paths]
        for source in SOURCES:
            told = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "exporter", "probe", f"--config.file={config}", str(source["name"]), "lobby"],
                capture_output=True,
                text=True,
                check=False,
            )
            shown += [told.stdout, told.stderr]
            assert 1 == told.returncode
        shown.append(exporter.log)

    everything = "".join(shown).lower()
    for signed in {signed for vendor in vendors for signed in vendor.sent}:
        for start in range(4, min(len(signed), 34) - 14):
            assert signed[start : start + 14].lower() not in everything
