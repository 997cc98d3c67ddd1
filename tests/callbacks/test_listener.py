"""
The port of the callbacks, on a real wire.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from dataclasses import replace

import pytest

from exporter.callbacks import Result
from exporter.callbacks.limits import Seen
from exporter.config.discovery import ListenerConfig
from exporter.errors import UserError
from exporter.vendors.callbacks import Change, Refusal
from tests.callbacks.port import ANYWHERE, TOKEN, Port, request, subscription
from tests.callbacks.vendor import NOW, USER, edited, examples, of, tencent, volcengine, zego

APIS = ["zego_rtc", "zego_zim", "tencent_im", "tencent_live", "volcengine_rtc"]
STATUSES = {Refusal.BAD_SIGNATURE: 403, Refusal.TOO_OLD: 403, Refusal.WRONG_APP: 403, Refusal.MALFORMED: 400}
REPLIES = {
    "zego_rtc": ("text/plain", b"ok"),
    "zego_zim": ("text/plain", b"ok"),
    "tencent_im": ("application/json", b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'),
    "tencent_live": ("application/json", b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'),
    "volcengine_rtc": ("text/plain", b"ok"),
}


@pytest.mark.parametrize("example", examples(), ids=str)
async def test_an_example_over_the_wire(example):
    """
    Documented requests are answered as the vendor wants it, and become hints; what is refused becomes none.
    """
    async with Port() as port:
        port.unix = example.now
        await port.listener.reconfigure(
            ANYWHERE, [subscription(example.api, app=example.app, secrets=[example.secret])]
        )

        status, headers, body = await port.answer(example)

        assert (200 if example.refusal is None else STATUSES[example.refusal]) == status
        if example.refusal is None:
            assert REPLIES[example.api] == (headers["content-type"].partition(";")[0], body)
        assert ([example.hint.room_id] if example.hint else []) == await port.rooms()
        assert example.hint is None or [(example.api, example.hint.change)] == [
            (source, hint.change) for source, hint in port.hints
        ]


@pytest.mark.parametrize("api", APIS)
async def test_a_callback_becomes_a_hint_once(api):
    """
    Sent again, as vendors do and others may, it is answered alike and does nothing.
    """
    async with Port() as port:
        assert [200, 200, 200] == [await port.send(of(api, 1)) for _ in range(3)]

        assert ["room-1"] == await port.rooms()
        assert {api: {Result.ACCEPTED: 1, Result.DUPLICATE: 2}} == port.results


async def test_figures_tell_when_and_how_late():
    """
    The last callback that was believed, by our clock, and the time that each was on its way.
    """
    async with Port() as port:
        port.unix = NOW + 3.0
        await port.send(zego())
        port.unix = NOW + 9.0
        await port.send(zego(signature="0" * 40))

        assert NOW + 3.0 == port.stats("zego_rtc").last_event_at
        assert 3.0 == port.stats("zego_rtc").delay.figures().seconds
        assert port.stats("zego_zim").last_event_at is None


@pytest.mark.parametrize(
    ("callback", "result"),
    [
        (zego(signature="0" * 40), Result.BAD_SIGNATURE),
        (zego(timestamp=NOW - 601), Result.TOO_OLD),
        (zego(appid=2), Result.WRONG_APP),
        (zego(room_id=None), Result.MALFORMED),
        (zego(padding="x" * 70_000), Result.TOO_LARGE),
        (zego(event="stream_create"), Result.IGNORED),
        (tencent("Group.CallbackAfterCreateGroup", Type="Public"), Result.IGNORED),
    ],
    ids=str,
)
async def test_each_result_is_counted(callback, result):
    """
    And what is refused, or says nothing of a room, becomes no hint.
    """
    async with Port() as port:
        await port.send(callback)

        assert {callback.api: {result: 1}} == port.results
        assert [] == await port.rooms()


async def test_the_answer_does_not_tell_what_was_wrong():
    """
    Signature, time and app have one answer.
    """
    refused = [zego(signature="0" * 40), zego(timestamp=NOW - 601), zego(appid=2)]
    async with Port() as port:
        answers = [await port.answer(callback) for callback in refused]

    assert [(403, b"forbidden\n")] * 3 == [(status, body) for status, _, body in answers]
    assert 1 == len({tuple(sorted(set(headers) - {"date"})) for _, headers, _ in answers})


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/metrics",
        "/callback",
        "/callback/",
        "/callback/zego_rtc",
        "/callback/zego_rtc/",
        f"/callback/zego_rtc/{TOKEN}x",
        f"/callback/zego_rtc/{TOKEN[:-1]}",
        f"/callback/zego_rtc/{TOKEN}/",
        f"/callback/nobody/{TOKEN}",
        f"/callback//{TOKEN}",
        f"/Callback/zego_rtc/{TOKEN}",
        f"//callback/zego_rtc/{TOKEN}",
        "/callback/zego_rtc/%ff",
        "/-/reload",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_whoever_does_not_know_the_path_learns_nothing(target, method):
    """
    A wrong token is answered as any path that there is not, whatever the method, and counted as nobody's.
    """
    async with Port() as port:
        status, headers, body = await port.ask(request(method, target, {}, zego().body))

        assert (404, b"not found\n") == (status, body)
        assert {"content-length", "content-type", "date", "server", "connection", "x-content-type-options"} == {
            *headers
        }
        assert "rtc-room-exporter" == headers["server"]
        assert {} == port.results


async def test_a_source_without_tokens_has_no_address():
    """
    An empty token opens nothing.
    """
    async with Port() as port:
        without, empty = subscription("zego_rtc", tokens=[]), subscription("zego_zim", tokens=[""])
        await port.listener.reconfigure(ANYWHERE, [without, empty])

        assert [404, 404] == [await port.send(of(api), token="") for api in ("zego_rtc", "zego_zim")]


async def test_a_source_of_any_name_has_an_address():
    """
    Its name is percent-encoded, slash included.
    """
    async with Port() as port:
        await port.listener.reconfigure(ANYWHERE, [subscription("zego_rtc", name="直播 a/b?#%")])

        assert 200 == await port.send(zego(), source="直播 a/b?#%")
        assert ["lobby"] == await port.rooms()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_only_post(method):
    """
    Other methods are told so.
    """
    async with Port() as port:
        status, headers, _ = await port.ask(request(method, f"/callback/zego_rtc/{TOKEN}", {}, b""))

    assert (405, "POST") == (status, headers["allow"])


@pytest.mark.parametrize(
    "head",
    [{"Content_Encoding": "gzip"}, {"Content_Encoding": "br"}, {"Content_Type": "multipart/form-data; boundary=a"}],
)
async def test_bodies_are_not_unpacked(head):
    """
    A small body that becomes a large one is not taken.
    """
    async with Port() as port:
        assert 415 == await port.send(edited(zego(), body=gzip.compress(zego().body)), **head)
        assert [] == await port.rooms()


@pytest.mark.parametrize("length", [65_536, 65_537, 1_000_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_the_size_of_a_body(length, chunked):
    """
    So many bytes are read and no more, whether the length is told before or not.
    """
    body = zego().body.ljust(length)
    if chunked:
        head = {"Transfer-Encoding": "chunked", "Content-Length": ""}
        data = request("POST", f"/callback/zego_rtc/{TOKEN}", head, b"%x\r\n%s\r\n0\r\n\r\n" % (length, body))
    else:
        data = request("POST", f"/callback/zego_rtc/{TOKEN}", {}, body)
    async with Port() as port:
        status, _, _ = await port.ask(data)

        assert (200 if length <= 65_536 else 413) == status
        assert {"zego_rtc": {Result.ACCEPTED if status == 200 else Result.TOO_LARGE: 1}} == port.results


async def test_a_client_that_asks_before_it_sends_is_told_to_go_on():
    """
    As curl does with larger bodies.
    """
    async with Port() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.listener.port)
        head = {"Content-Length": str(len(zego().body)), "Expect": "100-continue"}
        writer.write(request("POST", f"/callback/zego_rtc/{TOKEN}", head, b""))
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == await reader.readuntil(b"\r\n\r\n")
        writer.write(zego().body)

        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"POST /callback/",
        request("POST", f"/callback/zego_rtc/{TOKEN}", {"Content-Length": "10"}, b"{"),
        request(
            "POST", f"/callback/zego_rtc/{TOKEN}", {"Transfer-Encoding": "chunked", "Content-Length": ""}, b"5\r\n{"
        ),
    ],
)
async def test_a_slow_client_is_cut_off(data):
    """
    Whether it says nothing, half a head or half a body.
    """
    async with Port(read_timeout=0.05) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.listener.port)
        writer.write(data)
        async with asyncio.timeout(5):
            assert await _end(reader)
        writer.transport.abort()

        assert port.listener._connections is not None
        port.listener._connections.read_timeout = 60.0  # no honest client is cut where the machine is busy
        assert 200 == await port.send(zego())


async def test_a_head_that_does_not_end_is_cut_off():
    """
    After 32 KiB, long before its time is up.
    """
    async with Port(read_timeout=60) as port:
        async with asyncio.timeout(5):
            status, _, _ = await port.ask(b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000)

        assert status in {0, 400}


async def test_a_full_port_has_room_for_one_more():
    """
    The oldest connection makes place: who has something to say has said it by then.
    """
    async with Port(most_connections=4, read_timeout=60) as port:
        waiting = [await asyncio.open_connection("127.0.0.1", port.listener.port) for _ in range(4)]

        assert [200, 200] == [await port.send(of("zego_rtc", number)) for number in range(2)]
        cut = [await asyncio.wait_for(_end(reader), 5) for reader, _ in waiting[:1]]
        assert [True] == cut
        assert len(port.listener._connections or ()) <= 4
        for _, writer in waiting:
            writer.transport.abort()


async def _end(reader: asyncio.StreamReader) -> bool:
    try:
        return not await reader.read()
    except ConnectionError:
        return True


async def test_one_request_a_connection():
    """
    What is sent behind it is not read.
    """
    target = f"/callback/zego_rtc/{TOKEN}"
    async with Port() as port:
        both = b"".join(request("POST", target, {}, of("zego_rtc", number).body) for number in range(2))
        status, headers, _ = await port.ask(both)

        assert (200, "close") == (status, headers["connection"])
        assert ["room-0"] == await port.rooms()


async def test_what_is_too_much_is_taken_and_dropped():
    """
    A vendor would send it again and again. 1,000 at once and 200 a second are read; each source has its own.
    """
    async with Port() as port:
        statuses = {await port.send(of("zego_rtc", number)) for number in range(1_010)}
        await port.send(of("zego_zim"))

        assert {200} == statuses
        assert {Result.ACCEPTED: 1_000, Result.RATE_LIMITED: 10} == port.results["zego_rtc"]
        assert {Result.ACCEPTED: 1} == port.results["zego_zim"]

        port.now += 0.5
        for number in range(2_000, 2_110):
            await port.send(of("zego_rtc", number))

        assert 1_100 == port.results["zego_rtc"][Result.ACCEPTED]
        assert 1_101 == len(await port.rooms())


async def test_there_is_one_bucket_for_all():
    """
    Many sources together have 5,000 at once.
    """
    async with Port() as port:
        for _ in range(5_000):
            port.listener._bucket.take(port.now)

        assert 200 == await port.send(zego())
        assert {"zego_rtc": {Result.RATE_LIMITED: 1}} == port.results


async def test_a_flood_of_strangers_is_cut_off():
    """
    So that it costs little; who knows the path is answered all the same.
    """
    async with Port() as port:
        statuses = [await port.send(zego(), token="wrong") for _ in range(1_005)]

        assert [404] * 1_000 + [0] * 5 == statuses
        assert 200 == await port.send(zego())


async def test_nothing_is_taken_before_there_are_sources():
    """
    The vendor sends again what is answered with 503.
    """
    port = Port()
    prepared = await port.listener.prepare(ANYWHERE)
    port.listener.port = prepared.port
    try:
        assert 503 == await port.send(zego())
        port.listener.swap(prepared, [subscription("zego_rtc")])
        assert 200 == await port.send(zego())
    finally:
        await port.listener.stop()


async def test_a_slow_sink_does_not_hold_up_the_answer():
    """
    The vendor is answered before anything follows from what it said.
    """
    async with Port() as port:
        seen: list[int] = []
        port.listener._hints._worker.cancel()  # type: ignore[union-attr]
        seen.append(await port.send(zego()))

        assert [200] == seen
        assert [] == port.hints
        assert 1 == len(port.listener._hints)
        port.listener._hints.start()
        assert ["lobby"] == await port.rooms()


async def test_a_sink_that_fails_is_asked_again():
    """
    One hint that cannot be acted on does not end the work.
    """
    async with Port() as port:
        port.hints = None  # type: ignore[assignment]
        await port.send(of("zego_rtc", 1))
        await port.worked()
        port.hints = []
        await port.send(of("zego_rtc", 2))

        assert ["room-2"] == await port.rooms()
        assert ["unexpected error in acting on a callback"] == port.log.at("exception")


async def test_a_full_queue_drops_what_matters_least():
    """
    First that somebody came or went, the oldest of it; then the oldest of all.
    """
    async with Port() as port:
        hints = port.listener._hints
        hints._worker.cancel()  # type: ignore[union-attr]
        hints._most = 3
        create, join, close = "room_create", "room_login", "room_close"
        for number, event in enumerate([create, join, join, close, create, create]):
            await port.send(zego(event=event, room_id=f"{number}", nonce=f"{number}"))
        hints.start()

        assert ["3", "4", "5"] == await port.rooms()


async def test_secrets_and_tokens_are_rotated_without_a_gap():
    """
    At a reload the address stays open, and for a while there are two of each.
    """
    async with Port() as port:
        address = port.listener.port
        both = subscription("zego_rtc", secrets=["old", "new"], tokens=["old", "new"])
        new = subscription("zego_rtc", secrets=["new"], tokens=["new"])

        await port.listener.reconfigure(ANYWHERE, [both])
        assert [200] * 4 == [
            await port.send(zego(secret=secret, nonce=f"{token}{secret}"), token)
            for token in ("old", "new")
            for secret in ("old", "new")
        ]
        await port.listener.reconfigure(ANYWHERE, [new])
        assert 404 == await port.send(zego(secret="new", nonce="5"), "old")
        assert 403 == await port.send(zego(secret="old", nonce="6"), "new")
        assert 200 == await port.send(zego(secret="new", nonce="7"), "new")
        assert address == port.listener.port
        assert 5 == port.results["zego_rtc"][Result.ACCEPTED]


@pytest.mark.parametrize("api", APIS)
async def test_a_reload_does_not_forget_what_was_taken(api):
    """
    Whoever has recorded a callback cannot use it after a reload.
    """
    async with Port() as port:
        await port.send(of(api))
        await port.listener.reconfigure(ANYWHERE, [subscription(api)])
        await port.send(of(api))

        assert {Result.ACCEPTED: 1, Result.DUPLICATE: 1} == port.results[api]


def test_the_latest_are_remembered():
    """
    A number of them; one that comes again is one of the latest.
    """
    seen = Seen(most=2)

    assert [True, True, False, True, False, True] == [seen.add("a", key) for key in "121312"]
    assert 2 == len(seen)


async def test_a_source_that_is_gone_takes_nothing():
    """
    Nor is anything done with what it has told.
    """
    async with Port() as port:
        port.listener._hints._worker.cancel()  # type: ignore[union-attr]
        await port.send(zego())
        await port.listener.reconfigure(ANYWHERE, [subscription("zego_zim")])
        port.listener._hints.start()

        assert 404 == await port.send(of("zego_rtc", 2))
        assert [] == await port.rooms()
        assert {"zego_zim"} == {*port.listener.stats}


async def test_another_address_is_opened_before_the_old_one_is_closed():
    """
    The old one closes when the new one is there.
    """
    async with Port(ListenerConfig("127.0.0.1:0")) as port:
        old = port.listener.port
        await port.listener.reconfigure(ListenerConfig("localhost:0"), [subscription("zego_rtc")])

        assert old != port.listener.port
        assert 200 == await port.send(zego())
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", old)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (lambda port: ListenerConfig(f"127.0.0.2:{port}"), ""),
        (lambda port: ListenerConfig("127.0.0.1:65536"), "listen address"),
        (lambda port: ListenerConfig("192.0.2.7:0"), "cannot listen on"),
        (lambda port: ListenerConfig("127.0.0.1:0", allow=("10.0.0.0/33",)), "networks of callbacks"),
    ],
)
async def test_an_address_that_cannot_be_opened_changes_nothing(config, words):
    """
    The reload fails in words, and callbacks are taken as before.
    """
    async with Port() as port:
        if words:
            with pytest.raises(UserError, match=words):
                await port.listener.reconfigure(config(port.listener.port), [])

        assert 200 == await port.send(zego())


async def test_the_same_port_can_be_opened_for_other_addresses():
    """
    It is we who listen there, so a reload may widen the address and narrow it.
    """
    async with Port() as port:
        number = port.listener.port
        for host in ("", "127.0.0.1", "0.0.0.0"):  # noqa: S104 that is what is tested
            await port.listener.reconfigure(ListenerConfig(f"{host}:{number}"), [subscription("zego_rtc")])
            assert number == port.listener.port
            assert 200 == await port.send(zego())


async def test_a_port_that_somebody_else_has_too_is_not_lost():
    """
    The wider address cannot be had, and the one before takes callbacks as before. The message names the key.
    """
    async with Port() as port:
        with socket.socket() as other:
            other.bind(("127.0.0.2", port.listener.port))
            other.listen()
            with pytest.raises(UserError, match=r"Address already in use; .* with callbacks\.listen_address$"):
                await port.listener.reconfigure(ListenerConfig(f"0.0.0.0:{port.listener.port}"), [])

        assert 200 == await port.send(zego())


async def test_what_was_prepared_can_be_given_up():
    """
    When something else of the reload fails.
    """
    async with Port() as port:
        prepared = await port.listener.prepare(ListenerConfig("localhost:0"))
        await prepared.aclose()

        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", prepared.port)
        assert 200 == await port.send(zego())


async def test_it_can_be_switched_off_and_on():
    """
    Without a config nobody listens.
    """
    async with Port() as port:
        old = port.listener.port
        await port.listener.reconfigure(None, [])
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", old)
        await port.listener.reconfigure(ANYWHERE, [subscription("zego_rtc")])

        assert 200 == await port.send(zego())


ALLOWED = replace(ANYWHERE, allow=("192.0.2.0/24", "2001:db8::/32"))


@pytest.mark.parametrize(
    ("proxies", "forwarded_for", "status"),
    [
        ((), "192.0.2.7", 403),
        (("127.0.0.0/8",), "", 403),
        (("127.0.0.0/8",), "192.0.2.7", 200),
        (("127.0.0.0/8",), "::ffff:192.0.2.7", 200),
        (("127.0.0.0/8",), "2001:db8::1", 200),
        (("127.0.0.0/8",), "203.0.113.9", 403),
        (("127.0.0.0/8",), "192.0.2.7, 203.0.113.9", 403),
        (("127.0.0.0/8",), "203.0.113.9, 192.0.2.7", 200),
        (("127.0.0.0/8", "203.0.113.0/24"), "192.0.2.7, 203.0.113.9", 200),
        (("127.0.0.0/8",), "unknown", 403),
        (("127.0.0.0/8",), "192.0.2.7,", 403),
    ],
)
async def test_networks_that_callbacks_are_taken_from(proxies, forwarded_for, status):
    """
    The peer's address counts, and what it says of others only if it is a proxy that is trusted.
    """
    async with Port(replace(ALLOWED, trusted_proxies=proxies)) as port:
        head = {"X_Forwarded_For": forwarded_for}

        assert status == await port.send(zego(), **head)


async def test_the_peer_itself_may_be_allowed():
    """
    Without a proxy its own address is looked at.
    """
    async with Port(replace(ANYWHERE, allow=("127.0.0.1",))) as port:
        assert 200 == await port.send(zego())


async def test_refusals_are_logged_now_and_then():
    """
    Once a minute for each kind and source, with how many there were meanwhile.
    """
    async with Port() as port:
        for _ in range(3):
            await port.send(zego(signature="0" * 40))
        await port.send(zego(appid=2))
        port.now += 60
        await port.send(zego(signature="0" * 40))

        assert [("bad_signature", 0), ("wrong_app", 0), ("bad_signature", 2)] == [
            (values["result"], values["more"]) for level, _, values in port.log.lines if level == "warning"
        ]
        assert {"zego_rtc"} == {values["source"] for *_, values in port.log.lines}


async def test_nothing_secret_or_personal_is_logged():
    """
    Neither of what is believed nor of what is not; the room only where everything is wanted, in one harmless line.
    """
    async with Port() as port:
        for number, api in enumerate(APIS):
            await port.send(of(api, number))
            await port.send(of(api, number, "wrong"))
        await port.send(zego(room_id="\u202eb\u2028c", nonce="7"))
        await port.send(volcengine(EventType=USER, EventId="7"))
        await port.send(zego(event=USER))

        lines = str(port.log)
        assert 6 == len(port.log.at("debug"))
        assert 6 == len(await port.rooms())
        assert not [word for word in (USER, TOKEN, "callback-secret", "\u202e", "\u2028") if word in lines]
        assert "room" not in {key for level, _, values in port.log.lines if level != "debug" for key in values}


async def test_a_mistake_of_ours_is_no_answer_that_tells_of_it():
    """
    Should reading a callback fail, the vendor hears so and we read why.
    """
    async with Port() as port:
        port.listener._seen.add = None  # type: ignore[assignment,method-assign]

        status, _, body = await port.answer(zego())

        assert (500, b"internal error\n") == (status, body)
        assert 1 == len(port.log.at("exception"))


async def test_room_events_keep_their_order():
    """
    A room that ends and begins anew is not told the other way round.
    """
    async with Port() as port:
        for number in range(20):
            await port.send(zego(event=["room_create", "room_login", "room_close"][number % 3], nonce=f"{number}"))
        await port.rooms()

    assert [[Change.CREATED, Change.MEMBERS, Change.DESTROYED][number % 3] for number in range(20)] == [
        hint.change for _, hint in port.hints
    ]


async def test_a_forwarded_callback_is_a_callback():
    """
    A backend that has the vendor's one address may send query and body on as they came.
    """
    callback = tencent(RoomInfo={"Name": "a  b"}, MemberList=[{"Member_Account": USER}])
    async with Port() as port:
        assert 200 == await port.send(callback, User_Agent="backend/1", Content_Type="")
        assert json.loads(callback.body)["RoomId"] in await port.rooms()
