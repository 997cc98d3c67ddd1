"""
The JSON API.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from yarl import URL

from exporter.metrics.selection import Arrangement
from exporter.model import FailureKind, Family, Publish, Reading, Room, Thresholds
from exporter.states import SourceState
from tests.web.cluster import HERE, OTHER, cluster
from tests.web.finding import CALLBACKS, HTTP_SD, VENDOR_LIST, finds
from tests.web.site import UNIX, Budget, Clock, Site


async def fetch(site: Site, path: str, status: int = 200) -> Any:
    """
    The decoded answer.
    """
    response, body = await site.get(path)
    assert (status, "application/json") == (response.status, response.headers["Content-Type"])
    return json.loads(body)


async def test_every_figure_of_a_source(site: Site) -> None:
    """
    What /metrics says of a source and its budget, and what it cannot say: recent failures in words, with their age.
    """
    source = site.watch("live", [Room("a", thresholds=Thresholds(3, 6)), Room("b", thresholds=Thresholds(3, 6)), "c"])
    site.read("live", {"a": 7, "b": 5})
    source.gaps([10.0], site.now)
    source.gaps([11.0], site.now)
    source.calls = 12
    source.unrequested = 1
    source.clock = Clock(skew=903.0, shift=900.0)
    source.state = SourceState.CIRCUIT_OPEN
    site.pass_time(4)
    site.fail("live", FailureKind.TRANSIENT, [f"r{index}" for index in range(12)], "the vendor did not answer in time")
    site.pass_time(3)

    assert {
        "timestamp_seconds": UNIX + 7,
        "sources": [
            {
                "source": "live",
                "vendor": "zego",
                "api": "zego_rtc",
                "polled": True,
                "state": "circuit_open",
                "up": False,
                "users": 12,
                "rooms": {"fresh": 2, "held": 0, "missing": 0, "unknown": 1, "refused": 0},
                "known_rooms": 2,
                "published_rooms": 3,
                "user_seconds": None,
                "rooms_above": {"warning": 2, "critical": 1},
                "interval_seconds": 10.0,
                "achieved_interval_seconds": 10.5,
                "oldest_reading_timestamp_seconds": UNIX,
                "last_success_timestamp_seconds": UNIX,
                "last_success_age_seconds": 7.0,
                "clock_skew_seconds": 903.0,
                "clock_shift_seconds": 900.0,
                "calls": 12,
                "failed_calls": {
                    "rate_limited": 0,
                    "transient": 1,
                    "unauthorized": 0,
                    "misconfigured": 0,
                    "refused": 0,
                    "malformed": 0,
                },
                "unrequested_rooms": 1,
                "budget": {
                    "name": "live",
                    "limit_calls_per_second": 10.0,
                    "pace_calls_per_second": 10.0,
                    "calls": 0,
                    "lately_calls_per_second": None,
                    "owner": None,
                },
                "failures": [
                    {
                        "timestamp_seconds": UNIX + 4,
                        "age_seconds": 3.0,
                        "reason": "transient",
                        "code": "4711",
                        "meaning": "the vendor did not answer in time",
                        "rooms": [f"r{index}" for index in range(10)],
                        "more_rooms": 2,
                    }
                ],
                "discovery": None,
            }
        ],
    } == await fetch(site, "/api/v1/sources")


async def test_where_rooms_come_from(site: Site) -> None:
    """
    Each provider with the age of its list and how its last refresh ended; states, limit, counts and callbacks.
    """
    site.watch("live", ["a"])
    finds(site, "live", providers=(HTTP_SD, replace(CALLBACKS, warning="odd")))
    site.pass_time(3)

    answer = await fetch(site, "/api/v1/sources")

    assert {
        "providers": [
            {
                "name": "http_sd",
                "origin": "http_sd",
                "rooms": 24,
                "interval_seconds": 10.0,
                "last_success_timestamp_seconds": UNIX - 4,
                "last_success_age_seconds": 7.0,
                "counts": False,
                "last_result": "complete",
                "error": None,
                "warning": None,
            },
            {
                "name": "callbacks",
                "origin": "callbacks",
                "rooms": 3,
                "interval_seconds": None,
                "last_success_timestamp_seconds": None,
                "last_success_age_seconds": None,
                "counts": False,
                "last_result": None,
                "error": None,
                "warning": "odd",
            },
        ],
        "rooms": {"candidate": 2, "active": 30, "leaving": 1},
        "rooms_limit": 1000,
        "added": {"http_sd": 24, "vendor_list": 9, "callbacks": 3},
        "dropped": {"missing": 7, "unconfirmed": 0},
        "rejected": {"max_rooms": 0, "filter": 5},
        "callbacks": {"requests": {"accepted": 12, "bad_signature": 2}, "last_event_timestamp_seconds": UNIX - 6},
    } == answer["sources"][0]["discovery"]


async def test_unknown_is_null_and_never_zero(site: Site) -> None:
    """
    A source that has not read anything has no users, no interval achieved, no success and no clock.
    """
    site.watch("live", ["a"])

    (source,) = (await fetch(site, "/api/v1/sources"))["sources"]

    unknown = {name for name, value in source.items() if value is None}
    assert {
        "users",
        "achieved_interval_seconds",
        "oldest_reading_timestamp_seconds",
        "last_success_timestamp_seconds",
        "last_success_age_seconds",
        "clock_skew_seconds",
        "discovery",
        "user_seconds",
    } == unknown


async def test_calls_lately(site: Site) -> None:
    """
    The rate of a budget's calls comes from samples of the last half minute.
    """
    site.watch("live", ["a"])
    budget = site.telemetry.budgets["live"]
    assert isinstance(budget, Budget)
    for _ in range(20):
        await site.server.sample()
        site.pass_time(5)
        budget.calls += 40

    (source,) = (await fetch(site, "/api/v1/sources"))["sources"]

    assert 8.0 == source["budget"]["lately_calls_per_second"]


async def test_every_figure_of_a_room(site: Site) -> None:
    """
    A room with what is known of it; what its API does not tell is null.
    """
    room = Room("stage", (("event", "launch"),), Thresholds(warning=800))
    site.watch("volc", [room], api="volcengine_rtc")
    site.read("volc", {"stage": Reading(812, invisible_users=3, exists=True)})
    site.pass_time(4)

    assert {
        "rooms": [
            {
                "source": "volc",
                "vendor": "volcengine",
                "api": "volcengine_rtc",
                "room": "stage",
                "labels": {"event": "launch"},
                "thresholds": {"warning": 800, "critical": None},
                "state": "fresh",
                "users": 812,
                "admin_users": None,
                "invisible_users": 3,
                "exists": True,
                "reading_timestamp_seconds": UNIX,
                "read_by": "poll",
                "age_seconds": 4.0,
                "above": "warning",
                "above_seconds": 4.0,
                "last_known_users": 812,
                "share_of_threshold": 1.015,
                "interval_seconds": 10.0,
                "published": True,
                "published_for": None,
                "user_seconds": None,
            }
        ],
        "matching": 1,
        "next": None,
    } == await fetch(site, "/api/v1/rooms")


async def test_it_is_told_who_read_a_room(site: Site) -> None:
    """
    A count of the vendor's list is no poll, and nobody has read what is unknown. The list that counts says so, too.
    """
    site.watch("live", ["a", "b", "c"])
    site.read("live", {"a": 7})
    site.read("live", {"b": 7}, listed=True)
    finds(site, "live", providers=(HTTP_SD, replace(VENDOR_LIST, counts=True)))

    rooms = (await fetch(site, "/api/v1/rooms"))["rooms"]
    assert {"a": "poll", "b": "vendor_list", "c": None} == {each["room"]: each["read_by"] for each in rooms}
    (source,) = (await fetch(site, "/api/v1/sources"))["sources"]
    assert [False, True] == [each["counts"] for each in source["discovery"]["providers"]]


async def test_counts_are_whole_numbers(site: Site) -> None:
    """
    A client that types its numbers reads every count as an integer.
    """
    site.watch("live", ["a"])
    site.watch("volc", ["a"], api="volcengine_rtc")
    site.read("live", {"a": Reading(7, admin_users=2)})
    site.read("volc", {"a": Reading(7, invisible_users=0)})

    text = await site.text("/api/v1/rooms")

    assert '"users":7,"admin_users":2,' in text
    assert '"users":7,"admin_users":null,"invisible_users":0,' in text


async def test_what_is_too_old_is_gone(site: Site) -> None:
    """
    A reading older than max_staleness is shown by no endpoint, whether a sweep ran or not.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 7})
    site.pass_time(30.1)

    (source,) = (await fetch(site, "/api/v1/sources"))["sources"]
    (room,) = (await fetch(site, "/api/v1/rooms"))["rooms"]

    assert (None, None, "unknown") == (source["users"], room["users"], room["state"])


async def test_rooms_page_by_page(site: Site) -> None:
    """
    Following ``next``, or the Link header, shows every room that matches once, by source and id.
    """
    site.watch("live", [f"live {index:03d}&" for index in range(250)])
    site.watch("chat", [f"chat {index:03d}" for index in range(30)])
    path, seen, pages = "/api/v1/rooms?q=%200&state=unknown&limit=40", [], 0
    while path:
        response, body = await site.get(path)
        answer = json.loads(body)
        seen += [(room["source"], room["room"]) for room in answer["rooms"]]
        pages += 1
        link = response.links.get("next")
        path = URL(link["url"]).path_qs if link else ""
        assert bool(path) == bool(answer["next"])

    wanted = [("chat", f"chat {index:03d}") for index in range(30)]
    wanted += [("live", f"live {index:03d}&") for index in range(100)]
    assert (wanted, 4) == (seen, pages)


async def test_rooms_above_a_threshold(site: Site) -> None:
    """
    Filtered and ordered as on the page; one that fell silent counts by its last reading, and its users are null.
    """
    limits = Thresholds(warning=100, critical=200)
    site.watch("live", [Room(name, (("event", "launch"),), limits) for name in ("calm", "full", "over", "lost")])
    site.watch("tiny", [Room("t", thresholds=Thresholds(critical=10))])
    site.read("live", {"lost": 640})
    site.pass_time(31)
    site.read("live", {"calm": 100, "full": 101, "over": 201})
    site.read("tiny", {"t": 63})

    async def found(query: str) -> list[str]:
        return [room["room"] for room in (await fetch(site, f"/api/v1/rooms?{query}"))["rooms"]]

    assert ["t", "lost", "over", "full", "calm"] == await found("order=share")
    assert ["over", "full", "calm"] == (await found("order=users&q=event=launch"))[:3]
    assert ["t", "lost", "over", "full"] == await found("order=share&above=warning")
    assert ["lost", "over"] == await found("order=share&above=critical&source=live")
    (lost,) = (await fetch(site, "/api/v1/rooms?above=critical&state=unknown"))["rooms"]
    assert (None, 640, 3.2, "critical", 31.0) == (
        lost["users"],
        lost["last_known_users"],
        lost["share_of_threshold"],
        lost["above"],
        lost["above_seconds"],
    )


async def test_bad_parameters_are_refused(site: Site) -> None:
    """
    A bad parameter is a 400 whose JSON says what was found and what is accepted.
    """
    site.watch("live", ["a"])

    assert {"error": "limit='many'; accepted: 1 to 1000"} == await fetch(site, "/api/v1/rooms?limit=many", 400)
    assert {"error": "source='<b>'; accepted: live"} == await fetch(site, "/api/v1/rooms?source=<b>", 400)
    assert {"error": "unknown parameter 'x'; accepted: none"} == await fetch(site, "/api/v1/sources?x=1", 400)
    assert {"error": "unknown parameter 'sort'; accepted: source, state, above, q, order, limit, after"} == await fetch(
        site, "/api/v1/rooms?sort=users", 400
    )


async def test_who_holds_which_budget(site: Site) -> None:
    """
    The cluster as this replica sees it, replicas and budgets by name; a source names its budget's owner.
    """
    site.watch("live", ["a"])
    site.cluster = cluster(
        {"live": HERE, "chat": OTHER, "im": None}, refused="another replica has this name", until=3.5
    )
    site.pass_time(1)

    found = await fetch(site, "/api/v1/cluster")
    sources = await fetch(site, "/api/v1/sources")

    assert {
        "timestamp_seconds": UNIX + 1,
        "name": "rooms",
        "replica": "exporter-0",
        "engine": "redis 7.0.15",
        "serve": "own",
        "lease_seconds": 5.0,
        "connected": True,
        "error": None,
        "refused": "another replica has this name",
        "replicas": [
            {"name": HERE, "address": "10.0.0.1:9877", "config": "0123abcd", "silent_seconds": 0.0, "budgets": 1},
            {"name": OTHER, "address": "10.0.0.2:9877", "config": "0123abcd", "silent_seconds": 0.2, "budgets": 1},
        ],
        "budgets": [
            {"name": "chat", "owner": OTHER, "wished": OTHER, "held_until_timestamp_seconds": None},
            {"name": "im", "owner": None, "wished": HERE, "held_until_timestamp_seconds": None},
            {"name": "live", "owner": HERE, "wished": HERE, "held_until_timestamp_seconds": UNIX + 3.5},
        ],
    } == found
    assert [HERE] == [source["budget"]["owner"] for source in sources["sources"]]


async def test_there_is_no_cluster(site: Site) -> None:
    """
    The endpoint says so with a status that a script cannot overlook.
    """
    refusal = await fetch(site, "/api/v1/cluster", status=404)

    assert {"error": "this exporter is no replica: its config has no key 'cluster'"} == refusal


async def test_rooms_that_are_only_counted_are_listed(site: Site) -> None:
    """
    Every room with all that is known of it, and whether it has series of its own.
    """
    source = site.watch("live", ["full", "small"])
    for _ in source.table.arrange(Arrangement(Publish(top=1), tuple(Family))):
        pass
    for _ in range(2):
        site.pass_time(10)
        site.read("live", {"full": 812, "small": 3})

    rooms = (await fetch(site, "/api/v1/rooms"))["rooms"]
    (told,) = (await fetch(site, "/api/v1/sources"))["sources"]

    assert [("full", 812, True, "users", 8_120), ("small", 3, False, None, 30)] == [
        (room["room"], room["users"], room["published"], room["published_for"], room["user_seconds"]) for room in rooms
    ]
    assert (815, 1, 8_150) == (told["users"], told["published_rooms"], told["user_seconds"])


async def test_a_source_that_another_replica_polls(site: Site) -> None:
    """
    Its state is not known here, and its rooms are not listed; its calls of earlier times count.
    """
    source = site.watch("live", ["a"])
    site.read("live", {"a": 5})
    source.calls, source.polled, source.hidden = 3, lambda: False, True
    site.table.hide({"live"})

    (answer,) = (await fetch(site, "/api/v1/sources"))["sources"]
    assert {"polled": False, "state": None, "up": None, "users": None, "known_rooms": 0, "calls": 3} == {
        key: answer[key] for key in ("polled", "state", "up", "users", "known_rooms", "calls")
    }
    assert {0} == set(answer["rooms"].values())
    assert answer["last_success_age_seconds"] is None
    assert [] == (await fetch(site, "/api/v1/rooms"))["rooms"]
