"""
One page of a vendor's list of rooms, shown without a secret and without text of users.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner

from exporter.cli import app
from exporter.probe import ProbeError, probe_list
from tests.polling.house import parsed, source
from tests.polling.wire import Server, config_for, serving, write
from tests.vendors.test_lists import LISTED, PAGES, live, zego


async def probed(api: str, document: object, **keys: Any) -> tuple[str, Server]:
    """What is printed when the vendor answers so, and the vendor."""
    body = json.dumps(document).encode()
    printed: list[str] = []

    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    async with serving(answer) as (server, base_url):
        await probe_list(config_for(base_url, api, **keys), printed.append)
    return "\n".join(printed), server


@pytest.mark.parametrize("api", LISTED)
def test_it_shows_the_first_ids(api: str) -> None:
    """
    Request, number of rooms and the first ids of one call; no secret and nothing else of the reply.
    """
    ids = [f"room-{number}" for number in range(12)]

    printed, server = asyncio.run(probed(api, PAGES[api](ids)))

    assert 1 == len(server.requests)
    assert f"of the budget {api}{':' if api == 'janus_videoroom' else '.list'}" in printed
    assert "> GET http" in printed or "> POST http" in printed
    assert "<redacted>" in printed
    assert "\nlist: 12 rooms on the first page" in printed
    assert "complete\n  'room-0'" in printed
    assert "'room-9'" in printed
    assert "'room-10'" not in printed
    assert "  and 2 more" in printed
    assert "tandy" not in printed
    assert "0123456789abcdef0123456789abcdef" not in printed


def test_it_tells_totals_and_users() -> None:
    """
    Where the vendor says how many rooms there are and who is in them, so does the probe.
    """
    printed, _ = asyncio.run(probed("zego_rtc", zego({f"room-{n}": 7 for n in range(200)}, 450)))

    assert "list: 200 rooms on the first page, of 450 that the vendor has; there are more pages" in printed
    assert "  'room-0' users=7" in printed


def test_names_of_rooms_are_not_shown() -> None:
    """
    What users called their rooms is in the reply, and not on the terminal.
    """
    printed, _ = asyncio.run(probed("tencent_live", live(["a"])))

    assert "secret name" not in printed
    assert "bytes, of which only the room ids are shown" in printed


@pytest.mark.parametrize(
    ("api", "document", "keys", "words"),
    [
        (
            "zego_rtc",
            {"Code": 9},
            {},
            "no list: misconfigured (9): ZEGO does not list this app's rooms: ask its support",
        ),
        ("zego_rtc", [], {}, "no list: malformed (not_as_documented)"),
        ("zego_zim", {}, {}, "no list: zego_zim has no list of rooms"),
        ("volcengine_rtc", {}, {"region": "ap-singapore-1"}, "no list: Volcengine lists rooms in mainland China only"),
    ],
)
def test_why_there_is_no_list(api: str, document: object, keys: dict[str, Any], words: str) -> None:
    """
    A list that cannot be had is an error in words.
    """
    with pytest.raises(ProbeError) as raised:
        asyncio.run(probed(api, document, **keys))

    assert str(raised.value).startswith(words)


def test_nobody_answers() -> None:
    """
    A vendor that cannot be reached is an error in words, too.
    """
    (config,) = parsed(source("zego_rtc", base_url="http://127.0.0.1:1", allow_http=True))

    with pytest.raises(ProbeError, match=r"^no reply: transient \(connect\)"):
        asyncio.run(probe_list(config, lambda _: None))


@pytest.mark.parametrize("arguments", [["live"], ["live", "lobby", "--list"]])
def test_either_a_room_or_the_list(arguments: list[str]) -> None:
    """
    A probe is of a room or of the list, not of both and not of neither.
    """
    result = CliRunner().invoke(app, ["probe", "--config.file=exporter.yml", *arguments])

    assert 2 == result.exit_code
    assert "Give either ROOM or '--list' (env var: 'RTC_EXPORTER_LIST')." in result.stderr
