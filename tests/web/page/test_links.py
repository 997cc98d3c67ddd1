"""
Links of the page, and to Grafana.
"""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import UserError
from exporter.web.page.links import OCCUPANCY, POLLING_HEALTH, ROOM, Grafana, list_of_rooms, room_view
from tests.deploy.project import ROOT


@given(st.dictionaries(st.sampled_from(["source", "q", "state"]), st.text(min_size=1)))
def test_a_list_is_found_whatever_it_is_of(parameters: dict[str, str]) -> None:
    """
    Values of any characters come back as they went in.
    """
    link = urlsplit(list_of_rooms(**parameters))

    assert {name: [value] for name, value in parameters.items()} == parse_qs(link.query, keep_blank_values=True)
    assert ("", "", "", "rooms") == (link.scheme, link.netloc, link.path, link.fragment)


def test_a_room_has_an_address() -> None:
    """
    Characters that mean something in an address are encoded; dots, which a browser resolves, travel as parameters.
    """
    assert "rooms/live/stage" == room_view("live", "stage")
    assert "rooms/live/a%2Fb%3Fc%23d%25%20%E2%98%83" == room_view("live", "a/b?c#d% ☃")
    assert "rooms?source=live&room=.." == room_view("live", "..")


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://grafana.example.org", "https://grafana.example.org"),
        ("http://grafana:3000/", "http://grafana:3000"),
        ("https://example.org/grafana/", "https://example.org/grafana"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_dashboards_of_a_room_a_source_and_all(url: str, base: str) -> None:
    """
    Below the address that was given, with room and source chosen.
    """
    grafana = Grafana.parse(url)

    assert grafana
    assert f"{base}/d/rtc-occupancy" == grafana.occupancy
    assert f"{base}/d/rtc-polling-health?var-source=a%26b" == grafana.polling_health("a&b")
    assert f"{base}/d/rtc-room?var-source=live&var-room=a%2Fb" == grafana.room("live", "a/b")


@pytest.mark.parametrize(
    "url",
    [
        "grafana.example.org",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://grafana",
        "https://admin:hunter2@grafana",
        "https://grafana/?orgId=1",
        "https://grafana/#x",
        "https://gra fana",
        'https://grafana/"onclick="',
        "https://",
    ],
)
def test_what_is_no_address_of_a_grafana_is_refused(url: str) -> None:
    """
    Only http and https, and nothing with a password in it, which is not repeated either.
    """
    with pytest.raises(UserError, match="accepted: http or https, host") as caught:
        Grafana.parse(url)

    assert "hunter2" not in str(caught.value)


def test_no_grafana() -> None:
    """
    Without an address there are no links.
    """
    assert Grafana.parse("") is None


def test_the_dashboards_are_those_that_are_shipped() -> None:
    """
    Each of them exists under its uid and has the variables that links choose.
    """
    shipped = [json.loads(path.read_text("utf-8")) for path in (ROOT / "grafana/dashboards").glob("*.json")]
    variables = {board["uid"]: {of["name"] for of in board["templating"]["list"]} for board in shipped}

    assert {OCCUPANCY, POLLING_HEALTH, ROOM} <= variables.keys()
    assert {"source", "room"} <= variables[ROOM]
    assert "source" in variables[POLLING_HEALTH]
