"""
The admin API of a simulated Janus server, as a real one answers.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exporter.simulator import APIS, SEVERAL_APPS, Settings
from tests.deploy.project import ROOT
from tests.simulator.callers import janus, janus_list

RECORDED = {
    row["name"]: row
    for row in json.loads(Path(ROOT, "tests/testdata/janus/videoroom.json").read_text(encoding="utf-8"))["exchanges"]
}


@pytest.fixture
def settings():
    """
    Two servers, with a few rooms each.
    """
    return Settings(rooms=dict.fromkeys(APIS, 0), apps=SEVERAL_APPS)


async def test_list_is_shaped_as_a_real_one(client):
    """
    Every room that exists, empty or not; a number where the id is one.
    """
    world = client.simulator.world
    world.set("janus_videoroom", "4242", 1)
    world.set("janus_videoroom", "lobby", 0)
    world.set("janus_videoroom", "gone", 3)
    world.destroy("janus_videoroom", "gone")

    got = await client.send(janus(janus_list(transaction="t1")))

    real = RECORDED["list, one publisher joined"]["reply"]
    entries = got.document["response"]["list"]
    assert [(4242, 1), ("lobby", 0)] == [(entry["room"], entry["num_participants"]) for entry in entries]
    assert {**real, "response": {**real["response"], "list": entries}} == got.document
    assert set(entries[0]) <= set(real["response"]["list"][0])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "0"),
        ({"admin_secret": "wrong"}, "403"),
        ({"admin_secret": None}, "403"),
        ({"transaction": None}, "456"),
        ({"janus": None}, "456"),
        ({"janus": "nonsense"}, "457"),
        ({"plugin": "janus.plugin.nope"}, "460"),
        ({"request": None}, "429"),
        ({"request": {"request": "list", "admin_key": "bad"}}, "433"),
        ({"request": {"request": "list"}}, "0"),
        ({"request": {"request": "dance"}}, "423"),
    ],
)
async def test_what_is_checked(client, changes, code):
    """
    As a real server answers: secret, request, plugin, and the plugin's key; HTTP status 200 throughout.
    """
    got = await client.send(janus(janus_list(**changes)))

    assert (200, code) == (got.status, got.code)


async def test_refusals_are_worded_as_real_ones(client):
    """
    Word by word, where a real server was heard.
    """
    wrong = await client.send(janus(janus_list(transaction="t1", admin_secret="wrong")))
    key = await client.send(janus(janus_list(transaction="t", request={"request": "list", "admin_key": "bad"})))

    assert RECORDED["admin API wrong admin_secret"]["reply"] == wrong.document
    assert {
        "janus": "success",
        "transaction": "t",
        "response": {"videoroom": "event", "error_code": 433, "error": "Unauthorized (wrong admin_key)"},
    } == key.document


@pytest.mark.parametrize(
    ("method", "body", "code"), [("GET", b"", "454"), ("POST", b"no", "454"), ("POST", b"[]", "455")]
)
async def test_what_is_no_message(client, method, body, code):
    """
    No JSON object, no answer.
    """
    assert code == (await client.send(janus(None, method=method, body=body))).code


async def test_servers_are_told_apart_by_their_path(client):
    """
    Each has rooms and a secret of its own; another path is nobody's.
    """
    client.simulator.worlds.of("janus_videoroom", "/other/admin").set("janus_videoroom", "1", 5)

    assert [] == (await client.ask("janus_videoroom")).document["response"]["list"]
    assert 5 == (await client.ask("janus_videoroom", app=1)).document["response"]["list"][0]["num_participants"]
    assert "403" == (await client.send(janus(janus_list(), path="/other/admin"))).code
    assert 404 == (await client.send(janus(janus_list(), path="/nowhere"))).status
