"""
Variables in expressions: what is chosen in a dashboard reaches Prometheus intact, however hostile.
"""

import json
import re
import subprocess

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from grafana.generator.dashboards import FOLDER
from grafana.generator.expressions import escape_regex, expressions

HOSTILE = [
    'say "hi"',
    "it's",
    "back\\slash",
    "ends with \\",
    "(1)",
    "[a]{b}",
    "a|b",
    ".*",
    "$room ${room:raw} $__rate_interval",
    '"} or vector(1) #',
    "a/b?c&d=e%20f",
    "@TGS#a6I4ZUUGO",
    "房间 🎥",
    "<script>alert(1)</script>",
    "\\x60",
]


def quoted(text):
    """
    The text as a PromQL string.
    """
    return json.dumps(text, ensure_ascii=False)


@pytest.mark.needs_program("promtool")
def test_a_chosen_room_is_found_whatever_its_id(tmp_path):
    """
    Asked with Grafana's escaping, Prometheus answers with the chosen room, and with no other.
    """
    panel = {room: _promql_of("Users A", room) for room in HOSTILE}
    series = [f'rtc_room_users{{job="rtc",source="s",room={quoted(room)}}}' for room in [*HOSTILE, "another"]]
    test = {
        "input_series": [{"series": one, "values": str(users)} for users, one in enumerate(series, start=1)],
        "promql_expr_test": [
            {
                "expr": panel[room],
                "eval_time": "0",
                "exp_samples": [{"labels": '{job="rtc",source="s"}', "value": users}],
            }
            for users, room in enumerate(HOSTILE, start=1)
        ],
    }
    file = tmp_path / "rooms.yml"
    file.write_text(yaml.safe_dump({"tests": [test]}), encoding="utf-8")

    tested = subprocess.run(["promtool", "test", "rules", file], check=False, capture_output=True, text=True)

    assert (0, "") == (tested.returncode, tested.stderr)


def _promql_of(place, room):
    [promql] = [one.promql for one in expressions({"room": room}) if (one.dashboard, one.place) == ("room", place)]
    return promql


@given(st.text(alphabet=st.characters(exclude_categories=["C"])))
def test_an_escaped_value_matches_itself_alone(value):
    """
    What Grafana makes of a value is a regular expression for that value.
    """
    assert re.fullmatch(escape_regex(value), value)
    assert not re.fullmatch(escape_regex(value), value + "x")


@pytest.mark.parametrize("room", HOSTILE)
def test_the_list_of_rooms_offers_the_id_itself(room):
    """
    Grafana writes a series without escaping; the variable's pattern takes the room's id out of it unharmed.
    """
    dashboard = json.loads((FOLDER / "room.json").read_text(encoding="utf-8"))
    [variable] = [one for one in dashboard["templating"]["list"] if one["name"] == "room"]

    found = re.search(variable["regex"].strip("/"), f'{{room="{room}"}} 12 1767225600000')

    assert found
    assert room == found[1]


def test_a_room_that_no_query_can_quote_is_not_offered():
    """
    A backtick would end the string in which the id stands, so such a room is left out of the list.
    """
    dashboard = json.loads((FOLDER / "room.json").read_text(encoding="utf-8"))
    [variable] = [one for one in dashboard["templating"]["list"] if one["name"] == "room"]

    assert not re.search(variable["regex"].strip("/"), '{room="`} or vector(1)"} 12 1767225600000')


def test_every_variable_is_quoted():
    """
    A variable stands between backticks and is escaped there; anything else is refused when expressions are listed.
    """
    files = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json"))
    uses = re.findall(r"(.{2})\$\{(?:job|vendor|api|source|room|room_filter)(:\w+)?\}(.)", files)

    assert {(":regex", "`"), (":regex", ".")} == {(kind, after) for _, kind, after in uses}
    assert {"~`", "`|", ".*"} == {before for before, _, _ in uses}
