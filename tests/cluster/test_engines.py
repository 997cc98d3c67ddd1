"""
What an engine must do, with real servers: Redis as Debian has it, and Valkey.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.cluster.exchange import EngineError, Member, Owner, Refusal, Reply, Request, Write
from exporter.cluster.redis import RedisEngine
from exporter.config.cluster import RedisConfig
from exporter.metrics.cluster_stats import Exchanged
from exporter.vendors.source import Secret
from tests.cluster.register import Register
from tests.cluster.servers import Server, running
from tests.programs import find_program

LEASE = 30.0
"""Seconds; a server on a busy machine has a fifth of it to answer."""

PROGRAMS = ["redis-server", "valkey-server"]
COMMANDS = (
    *("+eval", "+evalsha", "+hset", "+hget", "+hdel", "+hgetall", "+hscan", "+hincrby"),
    *("+publish", "+subscribe", "+time", "+info", "+ping"),
)


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.needs_program(name)) for name in PROGRAMS])
def server(request, tmp_path_factory) -> Iterator[Server]:
    """A server of one kind, for all tests of this module."""
    program = find_program(request.param)
    assert program is not None
    with running(program, tmp_path_factory.mktemp("engine")) as server:
        yield server


@pytest.fixture
async def engine(server: Server) -> AsyncIterator[RedisEngine]:
    """A connection to an empty server with its usual settings."""
    server.admin.flushall()
    server.admin.config_set("maxmemory", "0")
    server.admin.config_set("min-replicas-to-write", "0")
    engine = RedisEngine(server.config, "rooms", LEASE)
    yield engine
    await engine.aclose()


def request(beat: int = 1, era: str = "", replica: str = "a", **more) -> Request:
    """A request of one replica."""
    return Request(era, replica, Member(beat, f"i-{replica}", "config"), **more)


async def met(engine: RedisEngine, replica: str = "a") -> str:
    """The era, after a first exchange."""
    return (await engine.exchange(request(replica=replica))).era


async def test_the_first_exchange_only_tells_the_era(engine):
    """
    Who does not know the era changes nothing.
    """
    reply = await engine.exchange(request(writes=[Write("x", "")]))

    assert Refusal.ERA == reply.refusal
    assert ({}, {}) == (reply.members, reply.records)


async def test_a_claim_is_carried_out_if_the_record_is_what_was_seen(engine):
    """
    One of two replicas that claim the same budget gets it.
    """
    era = await met(engine)
    await engine.exchange(request(1, era, "a", writes=[Write("x", "")]))

    reply = await engine.exchange(request(1, era, "b", writes=[Write("x", "")]))

    assert {"x": "a|i-a|1"} == reply.records
    assert {"a", "b"} == reply.members.keys()


async def test_a_claim_fails_if_the_holder_has_beaten(engine):
    """
    A holder whose beat is not the one that the claimant saw keeps its budget; one whose beat is loses it.
    """
    era = await met(engine)
    seen = await engine.exchange(request(1, era, "a", writes=[Write("x", "")]))
    claim = Write("x", seen.records["x"], holder="a", member=seen.members["a"])
    again = await engine.exchange(request(2, era, "a"))

    kept = await engine.exchange(request(1, era, "b", writes=[claim]))
    lost = await engine.exchange(request(2, era, "b", writes=[replace(claim, member=again.members["a"])]))

    assert [Owner("a", "i-a", 1), Owner("b", "i-b", 2)] == [Owner.parse(each.records["x"]) for each in (kept, lost)]


async def test_another_process_of_the_same_name_is_refused(engine):
    """
    Unless it names the entry that it replaces.
    """
    era = await met(engine)
    first = await engine.exchange(request(1, era))
    other = Request(era, "a", Member(1, "another", "config"))

    refused = await engine.exchange(other)
    taken = await engine.exchange(replace(other, replaces=first.members["a"]))

    assert [Refusal.NAME, None] == [refused.refusal, taken.refusal]


async def test_a_late_request_is_refused(engine):
    """
    A request that arrives after a later one of its replica changes nothing.
    """
    era = await met(engine)
    await engine.exchange(request(7, era))

    reply = await engine.exchange(request(6, era, writes=[Write("x", "")]))

    assert Refusal.LATE == reply.refusal
    assert {} == reply.records


async def test_what_is_let_go_is_inherited(engine):
    """
    The state of a released budget reaches the one who claims it, and the record names nobody until then.
    """
    era = await met(engine)
    held = await engine.exchange(request(1, era, "a", writes=[Write("x", "")]))
    release = Write("x", held.records["x"], release=True, state='{"pace": 10}')
    free = await engine.exchange(request(2, era, "a", writes=[release]))

    gained = await engine.exchange(request(1, era, "b", writes=[Write("x", free.records["x"])]))

    assert Owner("", "", 1) == Owner.parse(free.records["x"])
    assert {"x": '{"pace": 10}'} == gained.states


async def test_a_leaving_replica_is_forgotten(engine):
    """
    Its heartbeat is deleted, so that nobody waits for it.
    """
    era = await met(engine)
    await engine.exchange(request(1, era))

    reply = await engine.exchange(request(2, era, leave=True))

    assert {} == reply.members


async def test_a_release_is_news(engine):
    """
    Replicas that listen hear of a release at once.
    """
    era = await met(engine)
    held = await engine.exchange(request(1, era, "a", writes=[Write("x", "")]))
    heard = engine.listen("b", rooms=False)
    first = await anext(heard)

    await engine.exchange(request(2, era, "a", writes=[Write("x", held.records["x"], release=True, state="{}")]))
    message = await asyncio.wait_for(anext(heard), 5)
    await heard.aclose()

    assert ["", "news"] == [first.channel, message.channel]


@pytest.mark.parametrize("lose", ["flushall", "restart"])
async def test_lost_data_is_another_era(engine, server, lose):
    """
    After FLUSHALL or a restart of the server, requests that know the old data are refused.
    """
    era = await met(engine)
    await engine.exchange(request(1, era, writes=[Write("x", "")]))
    if lose == "flushall":
        server.admin.flushall()
    else:
        server.kill()
        server.start()

    reply = await answered(engine, request(2, era))

    assert Refusal.ERA == reply.refusal
    assert era != reply.era
    assert {} == reply.records


async def test_a_restart_with_its_data_is_another_era(engine, server):
    """
    DEBUG RELOAD keeps the run; a server that was another one's replica tells another history.
    """
    era = await met(engine)
    server.admin.execute_command("REPLICAOF", "127.0.0.1", "1")
    server.admin.execute_command("REPLICAOF", "NO", "ONE")

    reply = await answered(engine, request(2, era))

    assert Refusal.ERA == reply.refusal
    assert era != reply.era


async def test_forgotten_scripts_are_sent_again(engine, server):
    """
    SCRIPT FLUSH, as a failover does it too, costs nothing.
    """
    era = await met(engine)
    server.admin.script_flush()

    reply = await engine.exchange(request(1, era))

    assert reply.refusal is None


@pytest.mark.parametrize(
    ("setting", "value", "code"), [("maxmemory", "1", "OOM"), ("min-replicas-to-write", "1", "NOREPLICAS")]
)
async def test_a_server_that_takes_no_writes_says_why(engine, server, setting, value, code):
    """
    A full memory, or too few replicas at hand: the exchange fails in plain words, and works again afterwards.
    """
    era = await met(engine)
    server.admin.config_set(setting, value)

    with pytest.raises(EngineError, match=code) as refused:
        await engine.exchange(request(1, era))
    server.admin.config_set(setting, "0")
    reply = await engine.exchange(request(2, era))

    assert Exchanged.REFUSED == refused.value.result
    assert reply.refusal is None


async def test_a_replica_takes_no_exchanges(engine, server):
    """
    A server that has become a replica of another one answers READONLY.
    """
    era = await met(engine)
    server.admin.execute_command("REPLICAOF", "127.0.0.1", "1")

    with pytest.raises(EngineError) as refused:
        await engine.exchange(request(1, era))
    server.admin.execute_command("REPLICAOF", "NO", "ONE")

    assert "READONLY" in str(refused.value)


async def test_a_server_that_stands_still_is_a_time_out(engine, server):
    """
    CLIENT PAUSE: the exchange fails within a fifth of the lease, and the late answer meets no later request.
    """
    hasty = RedisEngine(server.config, "rooms", 5.0)
    era = await met(engine)
    await hasty.exchange(request(0, era))
    server.admin.execute_command("CLIENT", "PAUSE", "1500")
    began = asyncio.get_running_loop().time()

    with pytest.raises(EngineError, match="within 1 s") as failed:
        await hasty.exchange(request(1, era))
    took = asyncio.get_running_loop().time() - began
    server.admin.execute_command("CLIENT", "UNPAUSE")
    reply = await hasty.exchange(request(9, era))
    await hasty.aclose()

    assert Exchanged.TIMEOUT == failed.value.result
    assert 1.5 > took
    assert "9" == reply.members["a"].partition("|")[0]


async def test_a_password_is_needed_and_never_shown(engine, server):
    """
    Wrong and missing passwords fail in words without them.
    """
    server.admin.execute_command("ACL", "SETUSER", "exporter", "on", ">s3cret", "~{rooms}:*", "&{rooms}:*", "+@all")
    config = replace(server.config, username="exporter", password=Secret("s3cret"))
    wrong, right = (RedisEngine(each, "rooms", LEASE) for each in (replace(config, password=Secret("wr0ng")), config))

    with pytest.raises(EngineError) as refused:
        await wrong.exchange(request())
    reply = await right.exchange(request())
    await wrong.aclose()
    await right.aclose()

    assert "WRONGPASS: the server does not know this user and password" == str(refused.value)
    assert Refusal.ERA == reply.refusal
    assert "s3cret" not in repr(config)


async def test_a_missing_password_is_not_a_wrong_one(engine, server):
    """
    NOAUTH, which redis-py reports as it does WRONGPASS.
    """
    server.admin.config_set("requirepass", "s3cret")
    other = RedisEngine(server.config, "rooms", LEASE)

    with pytest.raises(EngineError) as refused:
        await other.exchange(request())
    server.admin.config_set("requirepass", "")
    await other.aclose()

    assert "NOAUTH: the server wants a password" == str(refused.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"host": "nowhere.invalid"}, "the server's name is not known"),
        ({"port": 1}, "the server refuses connections: nothing listens there"),
        ({"path": "/nowhere/redis.sock"}, "the server's socket does not exist"),
        ({"db": 99}, "the server does not have the database that url names"),
        ({"sentinels": (("127.0.0.1", 1),), "master": "mymaster"}, "no sentinel tells where the master is"),
    ],
)
async def test_a_wrong_url_is_told_apart(server, change, words):
    """
    Each mistake in the place of the server has words of its own.
    """
    other = RedisEngine(replace(server.config, **change), "rooms", LEASE)

    with pytest.raises(EngineError) as refused:
        await other.exchange(request())
    await other.aclose()

    assert words == str(refused.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"$5\r\nhello\r\n",
        b"*2\r\n:1\r\n:2\r\n",
        b":7\r\n",
        b"$x\r\n",
        b"+\xff\r\n",
    ],
)
async def test_what_is_no_redis_says_so(answer):
    """
    A web server, or something that speaks Redis' protocol and does not know the script: one error, in words.
    """

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            writer.write(answer)
        writer.close()

    listener = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    other = RedisEngine(RedisConfig(host="127.0.0.1", port=port), "rooms", 2.0)

    with pytest.raises(EngineError) as failed:
        await other.exchange(request())
    await other.aclose()
    listener.close()

    assert str(failed.value).startswith("what answers is no Redis")


async def test_a_name_server_that_hangs_holds_up_nothing(server, monkeypatch):
    """
    Attempts end in time, with one look-up under way, in a thread for which the end of the process does not wait.
    """
    hang, threads = threading.Event(), list[threading.Thread]()

    def look_up(*_: object, **__: object) -> list[object]:
        threads.append(threading.current_thread())
        hang.wait(5)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    other = RedisEngine(replace(server.config, host="redis.test"), "rooms", 2.0)
    failures = [await failure(other) for _ in range(2)]
    await other.aclose()
    hang.set()

    assert [Exchanged.TIMEOUT] * 2 == [error.result for error in failures]
    assert [True] == [thread.daemon for thread in threads]


async def test_every_address_of_a_name_is_tried(server, monkeypatch):
    """
    A name with an address where nobody listens, and one where the server does.
    """
    addresses = [("127.0.0.77", server.port), ("127.0.0.1", server.port)]

    def look_up(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

    other = RedisEngine(replace(server.config, host="redis.test"), "rooms", LEASE)
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        reply = await other.exchange(request())
    await other.aclose()

    assert Refusal.ERA == reply.refusal


async def test_after_a_failover_behind_one_name_the_new_master_is_found(engine, server, tmp_path):
    """
    The old master, now a replica, keeps its connections open; the name leads to another server.
    """
    program = find_program("redis-server")
    assert program
    with running(program, tmp_path) as master:
        addresses = {"redis.test": server.port}

        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there = await asyncio.open_connection("127.0.0.1", addresses["redis.test"])
            await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))

        front = await asyncio.start_server(connect, "127.0.0.1", 0)
        other = RedisEngine(replace(server.config, port=front.sockets[0].getsockname()[1]), "rooms", LEASE)
        era = await met(other)
        server.admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        addresses["redis.test"] = master.port

        refused = await failure(other, request(1, era))
        server.admin.execute_command("REPLICAOF", "NO", "ONE")
        reply = await other.exchange(request(2))
        reached = master.admin.exists("{rooms}:cluster")
        await other.aclose()
        front.close()

    assert Exchanged.REFUSED == refused.result
    assert reached
    assert Refusal.ERA == reply.refusal


async def test_foreign_entries_stop_no_exchange(engine, server):
    """
    Another program's entries among a cluster's, which may be no text, and are passed on as they are.
    """
    era = await met(engine)
    server.admin.hset(
        "{rooms}:cluster", mapping={"m:z": b"\xff\xfe", "o:y": b"garbage", b"\xff": b"1", "foreign": b"2"}
    )

    reply = await engine.exchange(request(1, era))

    assert reply.refusal is None
    assert {"a", "z"} == reply.members.keys()
    assert {"y": "garbage"} == reply.records


@pytest.mark.parametrize("key", ["cluster", "states"])
async def test_another_programs_key_is_told(engine, server, key):
    """
    WRONGTYPE: a key of the cluster's name holds something else. Every exchange says so, and none changes anything.
    """
    server.admin.set(f"{{rooms}}:{key}", "x")

    refused = await failure(engine)

    assert str(refused).startswith("WRONGTYPE: a key that belongs to this cluster's name holds something else")
    assert [f"{{rooms}}:{key}".encode()] == server.admin.keys("*")


async def test_the_documented_permissions_are_enough(engine, server):
    """
    A user with these commands alone can do everything.
    """
    server.admin.execute_command("ACL", "SETUSER", "least", "on", ">pw", "~{rooms}:*", "&{rooms}:*", "-@all", *COMMANDS)
    other = RedisEngine(replace(server.config, username="least", password=Secret("pw")), "rooms", LEASE)

    era = await met(other)
    held = await other.exchange(request(1, era, writes=[Write("x", "")]))
    written = await other.write("live", "x", held.records["x"], {"lobby": b"1"}, ["gone"], b"news")
    read = [part async for part in other.read("live")]
    heard = other.listen("a", rooms=True)
    first = await anext(heard)
    await heard.aclose()
    await other.aclose()

    assert written
    assert [{"lobby": b"1"}] == read
    assert "" == first.channel


async def test_a_permission_that_the_script_lacks_is_told(engine, server):
    """
    A user who may run scripts, but not the commands in them.
    """
    server.admin.execute_command("ACL", "SETUSER", "less", "on", ">pw", "~{rooms}:*", "-@all", "+eval", "+evalsha")
    other = RedisEngine(replace(server.config, username="less", password=Secret("pw")), "rooms", LEASE)

    refused = await failure(other)
    await other.aclose()

    assert str(refused).startswith("NOPERM: ")


async def test_readings_are_written_by_the_holder_alone(engine):
    """
    Whoever shows another record than the present one writes nothing.
    """
    era = await met(engine)
    held = await engine.exchange(request(1, era, writes=[Write("x", "")]))
    rooms = {f"room {number}": b"%d" % number for number in range(3000)}

    refused = await engine.write("live", "x", "a|i-a|99", rooms, [], None)
    nothing = [part async for part in engine.read("live")]
    written = await engine.write("live", "x", held.records["x"], rooms, [], None)
    await engine.write("live", "x", held.records["x"], {}, ["room 0"], None)
    found: dict[str, bytes] = {}
    async for part in engine.read("live"):
        found |= part

    assert [False, True] == [refused, written]
    assert [{}] == nothing
    assert rooms.keys() - {"room 0"} == found.keys()


async def test_one_reading_is_read(engine):
    """
    And nothing where there is none.
    """
    era = await met(engine)
    held = await engine.exchange(request(1, era, writes=[Write("x", "")]))
    await engine.write("live", "x", held.records["x"], {"\n": b"1", "lobby": b"2"}, [], None)

    assert [b"1", b"2", None] == [await engine.get("live", room) for room in ("\n", "lobby", "stage")]


async def test_a_callback_tells_whether_it_was_heard(engine):
    """
    By the replica that it was sent to; another one is nobody.
    """
    heard = engine.listen("b", rooms=False)
    await anext(heard)

    sent = [await engine.send(replica, b"hint") for replica in ("b", "c")]
    message = await asyncio.wait_for(anext(heard), 5)
    await heard.aclose()

    assert [True, False] == sent
    assert ("hints", b"hint") == (message.channel, message.data)


async def test_name_and_version(engine, server):
    """
    Redis and Valkey are told apart.
    """
    about = await engine.about()

    assert about.split()[0] in ("redis", "valkey")
    assert about.split()[1][0].isdigit()


async def test_unix_socket(engine, server):
    """
    A server on the same host can be reached without a port.
    """
    other = RedisEngine(RedisConfig(path=str(server.socket)), "rooms", LEASE)

    reply = await other.exchange(request())
    await other.aclose()

    assert Refusal.ERA == reply.refusal


names = st.sampled_from(["a", "b"])
records = st.sampled_from(["", "a|i-a|1", "b|i-b|1", "||1", "b|i-b|2"])
writes = st.lists(
    st.builds(
        Write,
        budget=st.sampled_from(["x", "y|z"]),
        was=records,
        release=st.booleans(),
        holder=st.sampled_from(["", "a", "b"]),
        member=st.sampled_from(["", "1|i-a|c||", "2|i-b|c||"]),
        state=st.sampled_from(['{"n": 1}', "ü"]),
    ).filter(lambda write: write.was or not write.release),
    max_size=3,
)
requests = st.lists(
    st.builds(
        Request,
        era=st.sampled_from(["", "known"]),
        replica=names,
        member=st.builds(Member, st.integers(1, 4), st.sampled_from(["i-a", "i-b"]), st.just("c")),
        replaces=st.sampled_from(["", "1|i-a|c||"]),
        writes=writes,
        states=st.dictionaries(st.sampled_from(["x", "y|z"]), st.just("{}"), max_size=1),
        forget=st.dictionaries(names, st.sampled_from(["1|i-a|c||", "3|i-b|c||"]), max_size=1),
        leave=st.booleans(),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(sent=requests)
def test_a_server_does_what_the_register_does(server, sent):
    """
    Any requests in any order: the script and the register in memory, with which ownership is proved, agree.
    """
    server.admin.flushall()
    register = Register()

    async def ask() -> list[tuple[Reply, Reply]]:
        engine = RedisEngine(server.config, "rooms", LEASE)
        eras = [(await engine.exchange(request())).era, register.apply(request()).era]
        both = []
        for each in sent:
            real, model = (replace(each, era=each.era and era) for era in eras)
            both.append((await engine.exchange(real), register.apply(model)))
        await engine.aclose()
        return both

    for real, model in asyncio.run(ask()):
        assert replace(model, era="", time=0) == replace(real, era="", time=0)


async def failure(engine: RedisEngine, asked: Request | None = None) -> EngineError:
    """What an attempt fails with."""
    with pytest.raises(EngineError) as failed:
        await engine.exchange(asked or request())
    return failed.value


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
    writer.close()


async def answered(engine: RedisEngine, asked: Request) -> Reply:
    """A reply; the first attempt after a restart may find a broken connection."""
    try:
        return await engine.exchange(asked)
    except EngineError:
        return await engine.exchange(asked)
