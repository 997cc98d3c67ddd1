"""
What comes where a vendor's callback is expected: bodies and queries that are signed and hold anything, with mistakes in
them, and bytes that are no request at all. Each ends in an event or a refusal, and the port goes on.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exporter.callbacks.clients import Admission
from exporter.vendors import APIS
from exporter.vendors.callback_bodies import DEEPEST, LONGEST_ROOM_ID, read_object
from exporter.vendors.callbacks import Event, Refusal
from tests.callbacks.port import TOKEN, Port, request
from tests.callbacks.vendor import APPS, Callback, edited, of, tencent, volcengine, zego
from tests.fuzz.editions import EDITIONS

SETTINGS: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("lobby")
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
)


def fields(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """
    Anything in any of these fields.
    """
    return st.dictionaries(st.sampled_from(names), documents, max_size=4)


events = st.sampled_from(["room_create", "room_close", "room_login", "room_logout", "room_enter", "room_exit", "x"])
commands = st.sampled_from(
    [
        "Group.CallbackAfterCreateGroup",
        "Group.CallbackOnMemberStateChange",
        "Live.CallbackAfterCreateRoom",
        "Live.CallbackAfterDestroyRoom",
        "",
    ]
)
zegos = st.builds(
    lambda api, event, more: zego(api, **{"event": event, **more}),
    st.sampled_from(["zego_rtc", "zego_zim"]),
    events,
    fields("event", "appid", "timestamp", "nonce", "room_id", "room_session_id", "room_seq", "room_create_time", "x"),
)
tencents = st.builds(
    lambda command, query, more: tencent(command, query=query, **more),
    commands,
    st.dictionaries(st.sampled_from(["SdkAppid", "SdkAppId", "CallbackCommand", "RequestTime", "Sign", "x"]), scalars),
    fields("CallbackCommand", "RoomId", "GroupId", "RoomInfo", "Type", "EventTime", "CreateTime"),
)
volcengines = st.builds(
    lambda more, data: volcengine(**{"EventData": json.dumps(data), **more}),
    fields("EventType", "EventData", "EventTime", "EventId", "AppId", "Version", "Nonce", "Noce"),
    documents | st.fixed_dictionaries({"RoomId": documents}),
)


@st.composite
def spoilt(draw: st.DrawFn, callbacks: st.SearchStrategy[Callback]) -> Callback:
    """
    One in which a few bytes were changed.
    """
    callback = draw(callbacks)
    body, query = bytearray(callback.body), callback.query
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 5))] = draw(st.binary(max_size=5))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(query)))
        query = query[:at] + draw(st.text(max_size=5)) + query[at + draw(st.integers(0, 5)) :]
    return edited(callback, body=bytes(body), query=query)


@pytest.mark.parametrize("examples", EDITIONS)
def test_any_callback_is_read_or_refused(examples: int) -> None:
    """
    With whatever in it, by each API's codec; a room that comes out of it can be a room.
    """

    @settings(max_examples=examples, **SETTINGS)
    @given(callback=spoilt(st.one_of(zegos, tencents, volcengines)), api=st.sampled_from(sorted(APPS)))
    @example(callback=edited(zego(), body=b'{"timestamp": "\\ud800", "nonce": "1", "signature": "a"}'), api="zego_rtc")
    @example(callback=edited(tencent(), query="RequestTime=\udcff&Sign=\udcff"), api="tencent_im")
    def holds(callback: Callback, api: str) -> None:
        for asked in (api, callback.api):
            read = edited(callback, api=asked).read()
            assert isinstance(read, Event | Refusal)
            for hint in read.hints if isinstance(read, Event) else ():
                assert 0 < len(hint.room_id.encode()) <= LONGEST_ROOM_ID
                assert hint.session is None or hint.session.encode()
                assert hint.at is None or hint.at > -(10**14)

    holds()


@pytest.mark.parametrize("examples", EDITIONS)
def test_any_bytes_are_a_body(examples: int) -> None:
    """
    Of each API, with any query beside them.
    """

    @settings(max_examples=examples, **SETTINGS)
    @given(api=st.sampled_from(sorted(APPS)), body=st.binary() | st.text().map(str.encode), query=st.text())
    @example(api="zego_rtc", body=b"event=" + b"%" * 60_000, query="")
    @example(api="zego_rtc", body=b'{"a":"' + b'\\"' * 30_000, query="")
    @example(api="volcengine_rtc", body=b"[" * 65_000, query="")
    @example(api="zego_zim", body=b'{"timestamp":' + b"9" * 60_000 + b',"nonce":1,"signature":"a"}', query="")
    def holds(api: str, body: bytes, query: str) -> None:
        assert isinstance(edited(of(api), body=body, query=query).read(), Refusal)

    holds()


@pytest.mark.parametrize("examples", EDITIONS)
def test_what_is_read_is_what_other_readers_read(examples: int) -> None:
    """
    Any JSON of few levels is taken, with the texts that it holds, and deeper one is not.
    """

    @settings(max_examples=examples, **SETTINGS)
    @given(document=st.dictionaries(st.text(), documents | st.text()), deeper=st.integers(0, 20))
    def holds(document: dict[str, Any], deeper: int) -> None:
        nested: Any = "[{"
        for _ in range(deeper):
            nested = [nested]
        text = json.dumps({**document, "nested": nested})
        read = read_object(text)

        if "NaN" in text or "Infinity" in text:
            return
        assert (deeper < DEEPEST and _levels(document) <= DEEPEST) == (read is not None)
        if read is not None:
            texts = {key: value for key, value in document.items() if isinstance(value, str) and key != "nested"}
            assert texts == {key: read[key] for key in texts}

    holds()


def _levels(document: Any) -> int:
    inner = document.values() if isinstance(document, dict) else document if isinstance(document, list) else None
    return 0 if inner is None else 1 + max(map(_levels, inner), default=0)


@pytest.mark.parametrize("examples", EDITIONS)
def test_any_bytes_at_the_port(examples: int) -> None:
    """
    Requests with mistakes in them, and bytes that are none: 4xx, or nothing at all, and the next callback is taken.
    """
    target = f"/callback/zego_rtc/{TOKEN}"
    methods = st.sampled_from(["POST", "GET", "post", "CONNECT", "", "PRI"])
    targets = st.sampled_from([target, "/", "*", "http://a/callback/zego_rtc/a", "/callback/%", ""])
    heads = st.dictionaries(
        st.sampled_from(["Content-Length", "Transfer-Encoding", "Expect", "X-Forwarded-For", "Upgrade", "a b", "Host"]),
        st.sampled_from(
            ["0", "5", "99999999999", "-1", "chunked", "gzip, chunked", "100-continue", "websocket", "é", ","]
        ),
        max_size=3,
    )
    requests = st.builds(request, methods, targets, heads, st.binary(max_size=50)) | st.binary(max_size=100)
    with asyncio.Runner() as runner:
        port = Port(read_timeout=60.0)
        runner.run(port.__aenter__())

        @settings(max_examples=examples, **SETTINGS)
        @given(data=requests, number=st.integers(0))
        def holds(data: bytes, number: int) -> None:
            port.now += 1
            status, _, _ = runner.run(port.ask(data, patience=0.02))
            assert status in {0, 100, 501, 505} or 400 <= status < 500, data
            assert 200 == runner.run(port.send(of("zego_rtc", number)))
            assert [] == port.log.at("error", "exception")

        try:
            holds()
        finally:
            runner.run(port.__aexit__(None, None, None))


@pytest.mark.parametrize("examples", EDITIONS)
def test_any_address_is_admitted_or_not(examples: int) -> None:
    """
    Whatever a proxy says of its client.
    """
    admission = Admission.parse(["192.0.2.0/24"], ["127.0.0.0/8", "::1"])
    addresses = st.ip_addresses().map(str) | st.sampled_from(["127.0.0.1", "::1", "192.0.2.1", "", "fe80::1%eth0"])

    @settings(max_examples=examples, **SETTINGS)
    @given(peer=addresses | st.text(), hops=st.lists(st.lists(addresses | st.text()).map(",".join)))
    def holds(peer: str, hops: list[str]) -> None:
        admitted = admission.admits(peer, hops)

        assert not admitted or any("192.0.2." in each or "c000:2" in each for each in (peer, *hops))

    holds()


def test_every_api_has_callbacks() -> None:
    """
    Each of them is fuzzed here.
    """
    assert sorted(APPS) == sorted(api for api, codec in APIS.items() if codec.callbacks)
