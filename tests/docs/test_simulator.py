"""
`docs/simulator.md` says what the simulator can be told, and its examples print what is printed.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import get_args

import pytest

from exporter.simulator import (
    DEFAULT_APPS,
    CallbackOrder,
    Fault,
    Settings,
    Simulator,
    TrafficOrder,
    control,
    faults,
    orders,
)
from exporter.simulator.events import What
from exporter.simulator.garbage import Form
from exporter.simulator.settings import DOCUMENTED_REFRESH
from tests.command import ask, command
from tests.docs.pages import SIMULATOR, code

pytestmark = pytest.mark.docs

PAGE = SIMULATOR.text
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line.startswith("| `")]
SESSIONS = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NUMBERS = re.compile(r"\d+\.\d+|(?<=\"calls\":)\d+|(?<=\"worst\":)\d+")


def commands():
    """
    What the page types, and what it shows as printed.
    """
    return [tuple(part.split("\n", 1)) for session in SESSIONS for part in session.removeprefix("$ ").split("\n$ ")]


def test_every_order_is_told():
    """
    Method and path of every route.
    """
    routes = {f"{route.method} {route.path}" for route in control.Control(Simulator()).routes()}

    assert routes == {code(row[0])[0] for row in ROWS if "/_sim" in row[0]}


@pytest.mark.parametrize(
    ("order", "fields"),
    [
        ("POST /_sim/rooms", orders.RoomOrder),
        ("POST /_sim/limits", orders.LimitOrder),
        ("POST /_sim/secrets", orders.SecretOrder),
        ("POST /_sim/darkness", orders.DarknessOrder),
        ("POST /_sim/traffic", TrafficOrder),
        ("POST /_sim/callbacks", CallbackOrder),
        ("POST /_sim/callbacks/send", orders.SendOrder),
    ],
)
def test_what_an_order_takes_is_told(order, fields):
    """
    Each key of its body.
    """
    (takes,) = [row[2] for row in ROWS if code(row[0]) == [order]]

    assert {*fields.__struct_fields__} == {*code(takes)} - {*get_args(What)}


def test_every_kind_of_trouble_is_told():
    """
    With what it takes; `rooms` and the like, which all of them take, stand above.
    """
    told = {
        code(row[0])[0]: {*code(row[2])} if len(row) > 2 else set()
        for row in ROWS
        if code(row[0])[0] in faults._OPTIONS
    }

    assert {kind: {*options} for kind, options in faults._OPTIONS.items()} == told
    general = {*Fault.__struct_fields__} - {option for options in told.values() for option in options}
    assert general <= {*code(PAGE.partition("## Trouble")[2].partition("```")[0])}


def test_every_form_of_garbage_is_told():
    """
    In one sentence.
    """
    sentence = PAGE.partition("`form` is one of ")[2].partition("\n\n")[0]

    assert {*get_args(Form)} == {*code(sentence)} - {"zego_rtc"}


def test_the_credentials_are_the_simulator_s_own():
    """
    Rooms and apps, ready to be copied into a config.
    """
    written = "\n".join(" ".join(row) for row in ROWS[:4])
    apps = (DEFAULT_APPS.zego[0], DEFAULT_APPS.tencent[0], DEFAULT_APPS.volcengine[0], DEFAULT_APPS.janus[0])
    values = [
        str(getattr(app, name)) for app in apps for name in app.__slots__ if name not in ("production", "services")
    ]

    assert [] == [value for value in values if f": {value}`" not in written]
    assert [f"{count:,}" for count in Settings().rooms.values()] == re.findall(r"(?<=[| ])[\d,]*\d(?=,? )", written)


def test_how_old_a_count_may_be_is_told():
    """
    Whoever sets a room and sees the old count for a while knows why.
    """
    told = {api: float(seconds) for api, seconds in re.findall(r"`(\w+)` (?:tells a change )?up to (\d+) s", PAGE)}

    assert DOCUMENTED_REFRESH == told


def test_the_examples_print_what_is_shown():
    """
    One after the other, at a simulator that was just started; moments and counts of calls differ.
    """
    with command("simulate", "--web.listen-address=127.0.0.1:0") as simulator:
        url = simulator.until(r"(http://[^,]+),")[1]
        ask(f"{url}/?Action=DescribeUserNum&AppId=1234567890")
        for typed, shown in commands():
            _, *arguments = shlex.split(typed.replace("http://127.0.0.1:9878", url))
            body = arguments[arguments.index("-d") + 1] if "-d" in arguments else None
            method = "DELETE" if "DELETE" in arguments else "POST" if body else "GET"
            status, printed = ask(arguments[-1], method, body)

            assert (200, NUMBERS.sub("N", shown).strip()) == (status, NUMBERS.sub("N", printed).strip())
            assert json.loads(shown)
