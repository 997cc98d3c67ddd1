"""
A vendor that sends back what it was sent: as its code it is not heard of, in log, page, JSON, metrics or `probe`.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e.process import ExporterProcess
from tests.hostile.stage import SOURCE
from tests.polling.wire import serving, write

TENCENT = {"name": "im", "api": "tencent_im", "sdk_app_id": 1400000000, "identifier": "administrator"}
VOLCENGINE = {"name": "volc", "api": "volcengine_rtc", "app_id": "661e", "access_key_id": "AKLT"}
SOURCES = [SOURCE, {**TENCENT, "secret_key": "0123456789abcdef" * 4}, {**VOLCENGINE, "secret_access_key": "s3cr3t" * 8}]


def derived(head: bytes) -> str:
    """What a request was signed with."""
    target = head.split(b" ")[1].decode()
    query = parse_qs(urlsplit(target).query)
    if found := re.search(rb"Signature=([0-9a-f]+)", head):
        return found[1].decode()
    return (query.get("Signature") or query["usersig"])[0]


@pytest.mark.parametrize("shape", ["{0}", "SignatureDoesNotMatch.{0}", "{1}", "x{2}y"])
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source["api"])
async def test_code_that_echoes_a_signature(tmp_path, source, shape):
    """
    Whole, in the middle of a true code, in part, or in another case.
    """
    sent: list[str] = []
    twice = asyncio.Event()

    async def echo(number: int, writer: asyncio.StreamWriter) -> None:
        signed = derived(server.requests[-1])
        sent.append(signed)
        if len(sent) > 1:
            twice.set()
        code = shape.format(signed[:60], signed[:30], signed.upper()[4:34])
        document = {"Code": code, "ErrorCode": code, "ResponseMetadata": {"Error": {"Code": code}}}
        body = json.dumps(document).encode()
        await write(writer, b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with serving(echo) as (server, url):
        config = tmp_path / "exporter.yml"
        config.write_text(json.dumps({"sources": [{**source, "base_url": url, "rooms": ["lobby"]}]}))
        async with ExporterProcess(config, "--log.level=debug") as exporter:
            async with asyncio.timeout(30):
                await twice.wait()
            await asyncio.sleep(0.5)
            pages = [await exporter.text(path) for path in ("/", "/metrics", "/api/v1/sources")]
            pages.append(await exporter.text(f"/rooms?source={source['name']}&room=lobby"))
        told = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "exporter", "probe", f"--config.file={config}", source["name"], "lobby"],
            capture_output=True,
            text=True,
            check=False,
        )
    shown = "".join((exporter.log, told.stdout, told.stderr, *(text for _, text in pages))).lower()

    assert 1 == told.returncode
    for signed in sent:
        for start in range(4, min(len(signed), 34) - 14):
            assert signed[start : start + 14].lower() not in shown
