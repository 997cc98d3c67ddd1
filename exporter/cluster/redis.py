"""
Redis or Valkey as the engine of a cluster. All keys of a cluster have the same hash tag, so that Redis Cluster keeps
them together, and none of them expires.

========================== =======================================================================================
``{name}:cluster``          hash: ``epoch``, ``token``, ``m:<replica>`` members, ``o:<budget>`` records
``{name}:states``           hash: what the next holder of a budget needs
``{name}:rooms:<source>``   hash: room → record; the source's name, and a hash of what its room ids mean
``{name}:news`` …           channels: a budget was let go; readings; callbacks for one replica
========================== =======================================================================================

Every command is tried once. A second try would carry out a request whose first try was only slow, and the next exchange
follows a tenth of a lease later anyway.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Protocol, cast

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    InvalidResponse,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from exporter.cluster.dialing import dial_by
from exporter.cluster.exchange import EngineError, Message, Refusal, Reply, Request
from exporter.config.cluster import RedisConfig
from exporter.metrics.cluster_stats import Exchanged
from exporter.resolver import Resolver

_TIMEOUT: Final = 0.2
_LEAST_TIMEOUT: Final = 0.5
_ROOMS_AT_A_TIME: Final = 500

_WORDS: Final = {
    "READONLY": "the server is a replica, which takes no writes",
    "NOREPLICAS": "the server has fewer replicas at hand than min-replicas-to-write asks for, and takes no writes",
    "OOM": "the server's memory is full (maxmemory), and it takes no writes",
    "MISCONF": "the server cannot save to its disk, and takes no writes",
    "NOAUTH": "the server wants a password",
    "WRONGPASS": "the server does not know this user and password",
    "NOPERM": "the server forbids this user a command or a key; the documentation lists what is needed",
    "LOADING": "the server is still loading its data",
    "MASTERDOWN": "the server's master is down",
    "CLUSTERDOWN": "the Redis Cluster is down",
    "MOVED": "the server is a node of a Redis Cluster that does not have these keys; give the one that has them",
    "DENIED": "the server is in protected mode, and takes connections from its own machine alone",
    "BUSY": "the server is busy with a script",
    "WRONGTYPE": "a key that belongs to this cluster's name holds something else; another program uses it",
}
_CODE: Final = re.compile(rf"\b({'|'.join(_WORDS)})\b")
_UNAUTHENTICATED: Final = "Authentication required"
_FORBIDDEN_IN_SCRIPT: Final = re.compile("executing the script can't|ACL failure in script")
_NO_DATABASE: Final = re.compile("DB index|SELECT is not allowed", re.IGNORECASE)
_NO_REDIS: Final = "what answers is no Redis"
_CODES: Final[Mapping[type[RedisError], str]] = {
    ReadOnlyError: "READONLY",
    OutOfMemoryError: "OOM",
    NoPermissionError: "NOPERM",
    AuthenticationError: "WRONGPASS",
    BusyLoadingError: "LOADING",
    MasterDownError: "MASTERDOWN",
    ClusterDownError: "CLUSTERDOWN",
    MovedError: "MOVED",
}
"""Errors of which redis-py drops the code."""


_REFUSED: Final = "the server refused the request"
_UNREACHABLE: Final[Mapping[type[BaseException], str]] = {
    InvalidResponse: _NO_REDIS,
    MasterNotFoundError: "no sentinel tells where the master is",
    ssl.SSLCertVerificationError: "the server's certificate is not trusted; ca_file names others to trust",
    ssl.SSLError: "no TLS with the server",
    socket.gaierror: "the server's name is not known",
    ConnectionRefusedError: "the server refuses connections: nothing listens there",
    FileNotFoundError: "the server's socket does not exist",
    PermissionError: "the server's socket may not be opened",
}


class _Client(Protocol):
    """What is used of redis-py, whose own types leave much open."""

    connection_pool: Any

    def execute_command(self, *arguments: object) -> Awaitable[Any]: ...
    def config_get(self, name: str) -> Awaitable[Any]: ...
    def pubsub(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Script:
    text: str
    sha: str

    @classmethod
    def read(cls, name: str) -> _Script:
        text = (files("exporter.cluster") / name).read_text(encoding="utf-8")
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    async def run(self, client: _Client, keys: Sequence[str], arguments: Sequence[str | bytes]) -> Any:
        try:
            return await client.execute_command("EVALSHA", self.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return await client.execute_command("EVAL", self.text, len(keys), *keys, *arguments)


class RedisEngine:
    """
    A connection to the engine.

    Args:
        name: The cluster's.
        lease: Seconds; a command that takes longer than a fifth of it has failed.
    """

    def __init__(self, config: RedisConfig, name: str, lease: float) -> None:
        self._timeout = max(_LEAST_TIMEOUT, _TIMEOUT * lease)
        self._lease = lease
        self._has_copies = bool(config.sentinels)
        self._prefix = f"{{{name}}}:"
        self._exchange = _Script.read("exchange.lua")
        self._write = _Script.read("write.lua")
        # Ownership has a connection of its own, so that it never waits for readings.
        self._opened: list[Any] = []
        self._resolver = Resolver(time.monotonic)
        self._client = self._opened_client(config)
        self._bulk = self._opened_client(config)
        self._listening = self._opened_client(config, listens=True)

    async def exchange(self, request: Request) -> Reply:
        """See ``exchange.Engine``."""
        keys = [self._prefix + "cluster", self._prefix + "states"]
        arguments: list[str | bytes] = [_encoded(request), self._prefix + "news"]
        async with self._attempt(self._client):
            return _reply(await self._exchange.run(self._client, keys, arguments))

    async def write(
        self,
        source: str,
        budget: str,
        record: str,
        rooms: Mapping[str, bytes],
        gone: Sequence[str],
        message: bytes | None,
    ) -> bool:
        """See ``exchange.Engine``."""
        pairs: list[str | bytes] = [part for room, reading in rooms.items() for part in (room, reading)]
        channel = self._prefix + "rooms" if message is not None else ""
        arguments: list[str | bytes] = [budget, record, channel, message or b"", str(len(rooms)), *pairs, *gone]
        async with self._attempt(self._bulk):
            written = await self._write.run(self._bulk, [self._prefix + "cluster", self._rooms(source)], arguments)
        return bool(written)

    async def read(self, source: str) -> AsyncIterator[Mapping[str, bytes]]:
        """See ``exchange.Engine``."""
        cursor = "0"
        while True:
            async with self._attempt(self._bulk):
                command = "HSCAN", self._rooms(source), cursor, "COUNT", _ROOMS_AT_A_TIME
                cursor, found = _scanned(await self._bulk.execute_command(*command))
            yield found
            if cursor == "0":
                return

    async def get(self, source: str, room: str) -> bytes | None:
        """See ``exchange.Engine``."""
        async with self._attempt(self._bulk):
            found: bytes | None = await self._bulk.execute_command("HGET", self._rooms(source), room)
        return found

    async def forget(self, source: str, rooms: Sequence[str]) -> None:
        """See ``exchange.Engine``."""
        async with self._attempt(self._bulk):
            await self._bulk.execute_command("HDEL", self._rooms(source), *rooms)

    async def send(self, replica: str, data: bytes) -> bool:
        """See ``exchange.Engine``."""
        async with self._attempt(self._bulk):
            return bool(await self._bulk.execute_command("PUBLISH", f"{self._prefix}hints:{replica}", data))

    async def listen(self, replica: str, *, rooms: bool) -> AsyncGenerator[Message, None]:
        """See ``exchange.Engine``."""
        channels = {f"{self._prefix}news": "news", f"{self._prefix}hints:{replica}": "hints"}
        if rooms:
            channels[f"{self._prefix}rooms"] = "rooms"
        subscription = self._listening.pubsub()
        try:
            async with self._attempt(None):
                await subscription.subscribe(*channels)
            yield Message("")
            heard = asyncio.get_running_loop().time()
            while True:
                with _in_our_words(self._timeout):
                    message = await subscription.get_message(ignore_subscribe_messages=False, timeout=self._lease)
                    now = asyncio.get_running_loop().time()
                    if message is None:
                        if now - heard > 3 * self._lease:
                            raise EngineError(Exchanged.UNREACHABLE, "nothing is heard of the server")
                        await subscription.ping()
                        continue
                heard = now
                if message["type"] == "message":
                    yield Message(channels[message["channel"].decode()], message["data"])
        finally:
            await _closed(subscription)

    async def about(self) -> str:
        """See ``exchange.Engine``."""
        fields = dict(line.split(":", 1) for line in (await self._information("server")).split() if ":" in line)
        if "valkey_version" in fields:
            return f"valkey {fields['valkey_version']}"
        return f"redis {fields.get('redis_version', '')}".strip()

    async def look(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """
        Members and records as they are now. Changes nothing.

        Raises:
            EngineError: No answer.
        """
        async with self._attempt(self._bulk):
            found = await self._bulk.execute_command("HGETALL", self._prefix + "cluster")
        items = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
        return _parted((_text(field), _text(value)) for field, value in items)

    async def doubts(self) -> Sequence[str]:
        """
        Settings of the server that a cluster should not have, in words. What the server does not tell is left out.

        Raises:
            EngineError: No answer.
        """
        doubts = []
        if (await self._setting("maxmemory") or "0") != "0":
            policy = await self._setting("maxmemory-policy") or ""
            if policy != "noeviction":
                doubts.append(f"maxmemory-policy is {policy}: the server may delete the cluster's data; use noeviction")
        replicas = re.search(r"connected_slaves:([0-9]+)", await self._information("replication"))
        if self._has_copies or (replicas and replicas[1] != "0"):
            if await self._setting("min-replicas-to-write") == "0":
                doubts.append(
                    "min-replicas-to-write is 0: a master that was replaced unawares may go on to grant budgets; use 1"
                )
            elif float(await self._setting("min-replicas-max-lag") or 0) > self._lease:
                doubts.append(f"min-replicas-max-lag is longer than the lease of {self._lease:g} s")
        return doubts

    async def _setting(self, name: str) -> str | None:
        async with self._attempt(self._bulk):
            try:
                found = await self._bulk.config_get(name)
            except ResponseError:
                return None
        return next((_text(value) for value in found.values()), None)

    async def _information(self, section: str) -> str:
        async with self._attempt(self._bulk):
            try:
                found = await self._bulk.execute_command("INFO", section)
            except ResponseError:
                return ""
        # redis-py takes the text of INFO apart
        return "\n".join(f"{key}:{value}" for key, value in found.items()) if isinstance(found, dict) else _text(found)

    async def aclose(self) -> None:
        """See ``exchange.Engine``."""
        for client in self._opened:
            await _closed(client)
        await self._resolver.close()

    def _opened_client(self, config: RedisConfig, *, listens: bool = False) -> _Client:
        encryption: dict[str, Any] = {"ssl": True, "ssl_check_hostname": True} if config.tls else {}
        if config.tls and config.ca_file is not None:
            encryption["ssl_ca_data"] = config.ca_file.pem
        once: dict[str, Any] = {"socket_connect_timeout": self._timeout, "retry": Retry(NoBackoff(), 0), "protocol": 2}
        settings: dict[str, Any] = once | {
            "db": config.db,
            "username": config.username,
            "password": config.password.reveal() if config.password else None,
            "socket_timeout": None if listens else self._timeout,
        }
        client: Any
        if config.sentinels:
            make_sentinel: Any = Sentinel
            asked = once | {"socket_timeout": self._timeout} | encryption
            sentinel = make_sentinel(list(config.sentinels), sentinel_kwargs=asked)
            client = sentinel.master_for(config.master, **settings, **encryption)
            self._opened += sentinel.sentinels
            for asked_one in sentinel.sentinels:
                dial_by(self._resolver, asked_one.connection_pool)
        elif config.path is not None:
            client = Redis(unix_socket_path=config.path, **settings)
        else:
            client = Redis(host=config.host, port=config.port, **settings, **encryption)
        if config.path is None:
            dial_by(self._resolver, client.connection_pool)
        self._opened.append(client)
        return cast(_Client, client)

    def _rooms(self, source: str) -> str:
        return f"{self._prefix}rooms:{source}"

    @asynccontextmanager
    async def _attempt(self, client: _Client | None) -> AsyncIterator[None]:
        try:
            with _in_our_words(self._timeout):
                async with asyncio.timeout(self._timeout):
                    yield
        except EngineError:
            # A late answer must not meet the next command, and another server may be the master behind this name now.
            self._resolver.forget()
            if client is not None:
                await client.connection_pool.disconnect()
            raise


@contextmanager
def _in_our_words(timeout: float) -> Iterator[None]:
    """Turn what redis-py raises into an ``EngineError`` in our own words, since theirs may print an address."""
    try:
        yield
    except EngineError:
        raise
    except (TimeoutError, RedisTimeoutError):
        raise EngineError(Exchanged.TIMEOUT, f"the server did not answer within {timeout:g} s") from None
    except (RedisError, OSError) as error:
        raise _refusal(error) or EngineError(Exchanged.UNREACHABLE, _why_unreachable(error)) from None
    except (ValueError, TypeError, IndexError, msgspec.DecodeError):  # redis-py trusts what it parses
        raise EngineError(Exchanged.UNREACHABLE, _NO_REDIS) from None


def _refusal(error: Exception) -> EngineError | None:
    """What the server said against a command; ``None`` if this is no answer of a server."""
    code = _code(error)
    if code is not None:
        return EngineError(Exchanged.REFUSED, f"{code}: {_WORDS[code]}")
    if isinstance(error, ResponseError):
        wants_database = _NO_DATABASE.search(str(error))
        return EngineError(
            Exchanged.REFUSED, "the server does not have the database that url names" if wants_database else _REFUSED
        )
    return None


def _code(error: Exception) -> str | None:
    """The server's code for an error. Its text is never shown."""
    if _UNAUTHENTICATED in str(error):
        return "NOAUTH"
    if _FORBIDDEN_IN_SCRIPT.search(str(error)):
        return "NOPERM"
    known = next((code for kind, code in _CODES.items() if isinstance(error, kind)), None)
    found = _CODE.search(str(error))
    return known or (found[1] if found else None)


def _why_unreachable(error: BaseException) -> str:
    """Why there is no connection. redis-py raises an error of its own in place of the system's."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    found = (words for cause in causes for kind, words in _UNREACHABLE.items() if isinstance(cause, kind))
    return next(found, "no connection to the server")


def _encoded(request: Request) -> bytes:
    releases = request.leave or any(write.release for write in request.writes)
    return msgspec.json.encode(
        {
            "era": request.era,
            "replica": request.replica,
            "incarnation": request.member.incarnation,
            "beat": request.member.beat,
            "entry": str(request.member),
            "replaces": request.replaces,
            "random": os.urandom(8).hex(),
            "leave": request.leave,
            "news": releases,
            "forget": request.forget,
            "states": request.states,
            "writes": [
                {
                    "budget": write.budget,
                    "was": write.was,
                    "release": write.release,
                    "holder": write.holder,
                    "member": write.member,
                    "state": write.state or "",
                }
                for write in request.writes
            ],
        }
    )


class _Answer(msgspec.Struct):
    """What ``exchange.lua`` answers. In JSON as Lua writes it, an empty list is an empty mapping."""

    refusal: str
    era: str
    time: int
    fields: list[str]
    inherited: list[str] | dict[str, str]


_decoded = msgspec.json.Decoder(_Answer).decode


def _reply(answer: bytes) -> Reply:
    try:
        parts = _decoded(answer)
    except UnicodeDecodeError:
        # Another program may have written bytes that are no text. They become an entry that cannot be read.
        parts = _decoded(answer.decode(errors="replace"))
    members, records = _parted(zip(parts.fields[::2], parts.fields[1::2], strict=True))
    inherited = [*parts.inherited]
    states = dict(zip(inherited[::2], inherited[1::2], strict=True))
    return Reply(parts.era, Refusal(parts.refusal) if parts.refusal else None, parts.time, members, records, states)


def _parted(fields: Iterable[tuple[str, str]]) -> tuple[dict[str, str], dict[str, str]]:
    """Members and records."""
    members, records = {}, {}
    for field, value in fields:
        if field.startswith("o:"):
            records[field[2:]] = value
        elif field.startswith("m:"):
            members[field[2:]] = value
    return members, records


def _scanned(answer: Any) -> tuple[str, dict[str, bytes]]:
    cursor, found = answer
    items = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
    return _text(cursor), {_text(room): reading for room, reading in items}


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


async def _closed(what: Any) -> None:
    with suppress(RedisError, OSError, TimeoutError):  # the connection may be gone already
        await what.aclose()
