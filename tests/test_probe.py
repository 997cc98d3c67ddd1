"""
One call for one room, shown without a secret.
"""

from __future__ import annotations

import json
import re

import pytest
import yaml
from click.testing import CliRunner

from exporter.cli import app
from exporter.demo import config_for
from exporter.simulator import APIS, Simulator
from tests.command import ask, command

COUNTS = {
    "zego_rtc": "UserCount",
    "zego_zim": "Count",
    "tencent_im": "OnlineMemberNum",
    "tencent_live": "MemberCount",
    "volcengine_rtc": "TotalUser",
}


@pytest.fixture(scope="module")
def vendors():
    """
    The simulator's address.
    """
    with command("simulate", "--web.listen-address=127.0.0.1:0") as simulator:
        yield simulator.until(r"(http://[^,]+),")[1]


@pytest.fixture(autouse=True)
def _no_faults(vendors):
    """
    What one test orders does not reach the next.
    """
    yield
    ask(f"{vendors}/_sim/faults", "DELETE")


@pytest.fixture
def config(vendors, tmp_path):
    """
    A config file with a source for each API, named after it; calls differ in nothing else from a vendor's.
    """
    document = yaml.safe_load(config_for(Simulator(), vendors))
    document["sources"] = [
        {**source, "name": source["api"], "rooms": source["rooms"][:1]} for source in document["sources"]
    ]
    path = tmp_path / "exporter.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@pytest.fixture
def probe(config):
    """
    Probes a room of a source; edits replace text of the config.
    """

    def run(source, room, **edits):
        text = config.read_text(encoding="utf-8")
        for old, new in edits.items():
            text = re.sub(rf"(?<=\b{old}: )\S+", new, text)
        config.write_text(text, encoding="utf-8")
        return CliRunner().invoke(app, ["probe", f"--config.file={config}", source, room])

    return run


def secrets(printed, config):
    """
    Whatever of the config's secrets, or of what is derived from them, stands in what was printed.
    """
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    given = [value for source in document["sources"] for key, value in source.items() if "secret" in key]
    derived = re.findall(r"Signature=(?!<)\S+|usersig=(?!<)\S+|Credential=\S+|eJ[A-Za-z0-9*_-]{20,}", printed)
    return [secret for secret in given if secret in printed] + derived


def test_it_shows_one_room_of_a_reply_about_all(probe, config):
    """
    Of a reply that tells all rooms, with what users call them, only the reading of the one room is shown.
    """
    world = Simulator().world
    room, other = sorted(world.room_ids("janus_videoroom"), key=lambda each: world.users("janus_videoroom", each))[-2:]

    result = probe("janus_videoroom", room)

    assert (0, "") == (result.exit_code, result.stderr)
    assert "bytes of all rooms, which are not shown" in result.stdout
    assert re.search(r"^reading: users=[1-9]", result.stdout, re.MULTILINE)
    assert other not in result.stdout
    assert "description" not in result.stdout
    assert [] == [secret for secret in ("example-admin-secret", "example-admin-key") if secret in result.stdout]


@pytest.mark.parametrize("api", [api for api in APIS if api in COUNTS])
def test_it_shows_request_reply_and_reading(probe, config, api):
    """
    The reading is the number in the reply shown above it, and nothing secret is in either.
    """
    world = Simulator().world
    full = max(world.room_ids(api), key=lambda room: world.users(api, room))  # rooms come and go, large ones stay

    result = probe(api, full)

    (count,) = re.findall(rf'"{COUNTS[api]}":(\d+)', result.stdout)
    assert (0, "") == (result.exit_code, result.stderr)
    assert re.search(r"^> (GET|POST) http://127\.0\.0\.1:\d+/\S+$", result.stdout, re.MULTILINE)
    assert "\n< HTTP 200\n" in result.stdout
    assert f"\nreading: users={count}" in result.stdout
    assert "<redacted>" in result.stdout
    assert [] == secrets(result.stdout, config)
    assert "\n\n\n" not in result.stdout


def test_only_what_is_secret_is_taken_out(probe):
    """
    App, region and the names of headers are shown, though the signed header of Volcengine names them too.
    """
    result = probe("volcengine_rtc", "stage-0000")

    assert "&RoomId=stage-0000" in result.stdout
    assert "Action=GetRoomOnlineUsers&AppId=661e000000000000000543cf&" in result.stdout
    assert "\n> X-Content-Sha256: e3b0c442" in result.stdout
    assert "\n> Authorization: <redacted>\n" in result.stdout
    assert '"Region":"cn-north-1"' in result.stdout


def test_it_warns_that_it_spends_a_slot(probe, vendors):
    """
    A probe is one call, no more, beside those of a running exporter.
    """
    ask(f"{vendors}/_sim/limits", "DELETE")

    result = probe("zego_rtc", "stage-0000")

    limits = json.loads(ask(f"{vendors}/_sim/limits")[1])["limits"]
    assert result.stdout.startswith("This call spends one slot of the budget zego_rtc:1234567890, beside those of a")
    assert [("zego_rtc", 1)] == [(limit["name"], limit["calls"]) for limit in limits if limit["calls"]]


@pytest.mark.parametrize(
    ("order", "noted"),
    [({"do": "destroy"}, True), ({"do": "set", "users": 1}, False)],
    ids=["no such room", "one user"],
)
def test_nobody_in_a_room_of_zego_may_mean_that_there_is_no_such_room(probe, vendors, order, noted):
    """
    ZEGO answers 0 for rooms that it does not have; whoever mistyped an id is told so, and nobody else.
    """
    ask(f"{vendors}/_sim/rooms", "POST", json.dumps({"api": "zego_rtc", "room": "lobbi", **order}))

    result = probe("zego_rtc", "lobbi")

    assert 0 == result.exit_code
    assert noted == ("\nnote: zego_rtc answers 0 for a room that the vendor does not have, too. " in result.stdout)


@pytest.mark.parametrize("api", [api for api in APIS if api != "zego_rtc"])
def test_a_room_that_does_not_exist_is_an_answer(probe, api):
    """
    The vendor was asked and answered: exit code 0.
    """
    result = probe(api, "no-such-room")

    assert 0 == result.exit_code
    assert "reading: users=0 exists=False (no such room)" in result.stdout
    assert "note:" not in result.stdout


@pytest.mark.parametrize(
    ("api", "key", "code"),
    [
        ("zego_rtc", "server_secret", "100000005"),
        ("zego_zim", "server_secret", "100000005"),
        ("tencent_im", "secret_key", r"7\d{4}"),
        ("tencent_live", "secret_key", r"7\d{4}"),
        ("volcengine_rtc", "secret_access_key", "SignatureDoesNotMatch"),
    ],
)
def test_a_refusal_is_told_in_words_and_without_secrets(probe, config, vendors, api, key, code):
    """
    A vendor whose error message quotes the request makes no difference: the signature stays out of sight.
    """
    ask(f"{vendors}/_sim/faults", "POST", '{"kind": "echo"}')

    result = probe(api, "stage-0000", **{key: "f" * 32})

    assert 1 == result.exit_code
    assert re.match(rf"no reading: unauthorized \({code}\): ", result.stderr)
    assert [] == secrets(result.output, config)


def test_no_answer_is_told(probe):
    """
    Where nobody listens, the request is shown all the same.
    """
    result = probe("zego_rtc", "stage-0000", base_url="http://127.0.0.1:1")

    assert 1 == result.exit_code
    assert "> GET http://127.0.0.1:1/?Action=DescribeUserNum" in result.stdout
    assert "no reply: transient (connect): the vendor's host refused the connection or cannot be reached\n" == (
        result.stderr
    )


def test_a_reply_cannot_paint_the_terminal(probe, vendors):
    """
    Control characters of a reply are shown by their number, as they might hide or rewrite lines.
    """
    fault = {"kind": "code", "code": "1", "message": "\x7f\x1b[2J", "apis": ["zego_rtc"]}
    ask(f"{vendors}/_sim/faults", "POST", json.dumps(fault))

    result = probe("zego_rtc", "stage-0000")

    assert 1 == result.exit_code
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", result.output)
    assert r"\x7f" in result.stdout


@pytest.mark.parametrize(
    ("source", "room", "said"),
    [
        ("zego", "stage", f"SOURCE: found 'zego'; accepted: {', '.join(APIS)}"),
        ("zego_rtc", "", "ROOM: found ''; accepted: 1 to 128 bytes without control characters"),
        ("zego_zim", "x" * 33, "accepted: 1 to 32 bytes without control characters"),
        ("zego_zim", "a\nb", r"ROOM: found 'a\nb'; accepted: 1 to 32 bytes without control characters"),
    ],
)
def test_what_cannot_be_asked_is_not(probe, source, room, said):
    """
    An unknown source, or an id that the API does not take, costs no call: exit code 1.
    """
    result = probe(source, room)

    assert (1, "") == (result.exit_code, result.stdout)
    assert said in result.stderr
