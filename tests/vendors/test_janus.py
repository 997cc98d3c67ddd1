"""
Janus: what a real server was asked and answered, recorded, and what the codec makes of it.

``tests/e2e/test_janus.py`` asks such a server itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.model import Failure, FailureKind, Reading, Reply
from exporter.vendors import APIS
from exporter.vendors.lists import ANY_ROOM
from exporter.vendors.replies import CONTRADICTION, NO_COUNT, UNDOCUMENTED
from exporter.vendors.source import Secret
from tests.deploy.project import ROOT
from tests.vendors.examples import STAMP, auth, outcome, reply, request, source

RECORDED: Final[list[dict[str, Any]]] = json.loads(
    Path(ROOT, "tests/testdata/janus/videoroom.json").read_text(encoding="utf-8")
)["exchanges"]
API: Final = "janus_videoroom"
MISSING: Final = Reading(0, exists=False, missing=True)
SECRET, KEY = Secret("janusoverlord"), Secret("supersecret")

SAID: Final[dict[str, Reply]] = {
    "admin API list, public rooms only": Reply(
        {"1234": Reading(0, exists=True), "1235": MISSING, "4242": MISSING, ANY_ROOM: MISSING}
    ),
    "list, one publisher joined": Reply(
        {"1234": Reading(0, exists=True), "1235": Reading(0, exists=True), "4242": Reading(1, exists=True)}
        | {ANY_ROOM: MISSING}
    ),
}
CODES: Final = {
    "admin API listparticipants, unknown room": "426",
    "listparticipants after destroy": "426",
    "admin API wrong admin_secret": "403",
    "wrong apisecret": "403",
}


def listed(*rooms: object) -> dict[str, Any]:
    """A reply with these entries."""
    return {"janus": "success", "transaction": "t", "response": {"videoroom": "success", "list": rooms}}


@pytest.mark.parametrize("row", RECORDED, ids=lambda row: row["name"])
def test_recorded_exchange(row: dict[str, Any]) -> None:
    """
    A list is readings of all rooms, and what answers another question is none: it fails with the server's code, or as
    what is not documented for a list.
    """
    answer = reply(API, row["reply"], "1234", "1235", "4242", ANY_ROOM, status=row["status"])

    if row["name"] in SAID:
        assert SAID[row["name"]] == answer
    else:
        assert isinstance(answer, Failure)
        assert CODES.get(row["name"], UNDOCUMENTED.code) == answer.code


@pytest.mark.parametrize("name", [*SAID, "admin API wrong admin_secret"])
def test_recorded_request(name: str) -> None:
    """
    The request is the recorded one: the plugin's key is in it where there is one.
    """
    (row,) = [row for row in RECORDED if row["name"] == name]
    secrets: dict[str, Any] = {"admin_secret": Secret(row["request"]["admin_secret"])}
    if "admin_key" in row["request"]["request"]:
        secrets["admin_key"] = KEY

    sent = request(API, "1234", base_url="http://127.0.0.1:17088", **secrets)

    assert (row["method"], row["url"]) == (sent.method, sent.url)
    assert row["request"] == {**json.loads(sent.body), "transaction": row["request"]["transaction"]}
    assert {each.reveal() for each in secrets.values()} == set(sent.secrets)


def test_default_address() -> None:
    """
    A server on this machine is asked at the port and path that Janus has by default.
    """
    assert "http://127.0.0.1:7088/admin" == request(API).url
    assert "http://127.0.0.1:7088/a/b" == request(API, admin_path="/a/b").url


def test_every_room_costs_the_same_call() -> None:
    """
    Whatever rooms are asked for, the question is the same, and the others of the reply are told besides.
    """
    answer = reply(API, listed({"room": 1, "num_participants": 2}, {"room": "b", "num_participants": 3}), "b", "c")

    assert request(API, "1").body == request(API, *(f"{n}" for n in range(5000))).body
    assert Reply({"b": Reading(3, exists=True), "c": MISSING}, others={"1": Reading(2, exists=True)}) == answer


@pytest.mark.parametrize(
    ("room", "text"), [(7, "7"), (2**64 - 1, "18446744073709551615"), ("7", "7"), ("房间", "房间")]
)
def test_ids_are_text(room: object, text: str) -> None:
    """
    Numbers, up to 64 bits, become the text that the config has.
    """
    assert Reading(1, exists=True) == outcome(API, listed({"room": room, "num_participants": 1}), text)


@pytest.mark.parametrize("room", [True, None, 1.5, [], {}])
def test_ids_that_are_none(room: object) -> None:
    """
    A list with an id that is neither number nor text is not believed.
    """
    assert UNDOCUMENTED == outcome(API, listed({"room": room, "num_participants": 1}))


def test_one_bad_entry() -> None:
    """
    A room without a count, or with two of them, fails by itself, and is found by nobody.
    """
    entries = [
        {"room": "a", "num_participants": -1},
        {"room": "b", "num_participants": 1},
        {"room": "b", "num_participants": 2},
        {"room": "c", "num_participants": 3},
        {"room": "d"},
        {"room": "", "num_participants": 4},
    ]

    assert Reply(
        {"a": NO_COUNT, "b": CONTRADICTION, "c": Reading(3, exists=True), ANY_ROOM: MISSING}, others={}
    ) == reply(API, listed(*entries), "a", "b", "c", ANY_ROOM)


@pytest.mark.parametrize(
    ("document", "kind", "code"),
    [
        ({"janus": "error", "error": {"code": 460, "reason": "x"}}, FailureKind.MISCONFIGURED, "460"),
        (
            {"janus": "success", "response": {"videoroom": "event", "error_code": 433, "error": "x"}},
            FailureKind.UNAUTHORIZED,
            "433",
        ),
        ({"janus": "success", "response": {"videoroom": "event"}}, FailureKind.MALFORMED, "not_as_documented"),
        ({"janus": "success", "response": {"videoroom": "success"}}, FailureKind.MALFORMED, "not_as_documented"),
        ({"janus": "ack"}, FailureKind.MALFORMED, "not_as_documented"),
        ({"janus": "error", "error": {}}, FailureKind.MALFORMED, "not_as_documented"),
    ],
)
def test_failures_of_server_and_plugin(document: object, kind: FailureKind, code: str) -> None:
    """
    Both come with HTTP status 200; the plugin's stand inside a success of the server.
    """
    failure = outcome(API, document)

    assert isinstance(failure, Failure)
    assert (kind, code) == (failure.kind, failure.code)


def test_descriptions_stay_inside() -> None:
    """
    What a room is called by users is nowhere in what a reply becomes, and cannot pretend to be a key of it.
    """
    entry = {"room": 1, "description": '"room":2,"num_participants":9', "num_participants": 1, "pin_required": True}
    padding = [{"room": n, "description": "room", "num_participants": 0} for n in range(10, 8000)]

    answer = reply(API, json.dumps(listed(entry, *padding), separators=(",", ":")).encode(), "1")

    assert isinstance(answer, Reply)
    assert Reading(1, exists=True) == answer.rooms["1"]
    assert "participants" not in repr(answer)
    assert "description" not in repr(answer)


def test_list_as_a_pass() -> None:
    """
    Whoever asks for a page of the list gets all of it.
    """
    lists = APIS[API].lists
    assert lists
    listing = lists.begin(source(API), 0.0, None, 0.0)

    assert lists.answers_all
    assert listing.request(auth(API), STAMP) == request(API)
    assert listing.reply(200, {}, json.dumps(listed({"room": 1, "num_participants": 2})).encode()) is None
    assert (True, {"1": Reading(2, exists=True)}) == (listing.complete, listing.rooms)
