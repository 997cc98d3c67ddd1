"""
The keys of ``cluster``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import ConfigDict, Field, PlainValidator, field_validator, model_validator

from exporter.config.cluster import ClusterConfig, RedisConfig
from exporter.config.discovery_schema import SecretKeys, given_secret
from exporter.config.rooms import Info
from exporter.config.secrets import read_certificates
from exporter.config.validation import Keys, fault, kind
from exporter.config.values import List, describe
from exporter.vendors.source import Certificates, Secret, Text, duration, has_control_character

NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
"""Of a cluster, and of a replica: without the characters that separate things in Redis."""

NAME_ACCEPTED: Final = "1 to 128 letters, digits, dots, hyphens and underscores"

_HIGHEST_PORT: Final = 65_535
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26_379
_HIDDEN: Final = "a URL that is not shown, as it may hold a password"
_URL_ACCEPTED: Final = (
    "redis://host:6379/0, rediss:// for TLS, or unix:///path; perhaps user:password@ before the host, percent-encoded"
)
_PLACE: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)


def _name(value: object) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise fault(NAME_ACCEPTED, "{}" if isinstance(value, str) else describe(value))
    return value


def _place(value: object) -> tuple[str, int]:
    found = _PLACE.fullmatch(value) if isinstance(value, str) else None
    port = int(found["port"] or _SENTINEL_PORT) if found else 0
    if found is None or not 0 < port <= _HIGHEST_PORT:
        hidden = isinstance(value, str) and "@" in value
        raise fault("host:port of a sentinel, such as sentinel-0:26379", _HIDDEN if hidden else "{}")
    return found["host"].strip("[]"), port


def read_redis_url(text: str) -> RedisConfig:
    """
    The parts of the URL.

    Raises:
        PydanticCustomError: It says what is accepted, and does not contain the URL.
    """
    try:
        config = _parsed(text)
    except ValueError:
        config = None
    if config is None:
        raise fault(_URL_ACCEPTED, _HIDDEN)
    return config


def _parsed(text: str) -> RedisConfig | None:
    url = urlsplit(text)
    if url.port == 0 or has_control_character(text) or re.search(r"\s", text) or url.fragment:
        return None
    username = unquote(url.username) if url.username else None
    password = Secret(unquote(url.password)) if url.password else None
    if url.scheme == "unix":
        db = parse_qs(url.query, strict_parsing=bool(url.query)).get("db", ["0"])[0]
        usable = bool(url.path.strip("/")) and not url.hostname and db.isdecimal()
        return RedisConfig(path=unquote(url.path), db=int(db), username=username, password=password) if usable else None
    db = url.path.strip("/") or "0"
    if url.scheme not in ("redis", "rediss") or url.query or not re.fullmatch(r"[0-9]{1,5}", db, re.ASCII):
        return None
    return RedisConfig(
        host=url.hostname or "",
        port=url.port or _PORT,
        tls=url.scheme == "rediss",
        db=int(db),
        username=username,
        password=password,
    )


class RedisKeys(SecretKeys):
    """Where Redis or Valkey is."""

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True, defer_build=True)

    url: Secret = Field(
        description="`redis://user:password@host:6379/0`, `rediss://` for TLS, or `unix:///path`; with `sentinels` "
        "without a host"
    )
    sentinels: Annotated[
        tuple[Annotated[tuple[str, int], PlainValidator(_place, json_schema_input_type=str)], ...],
        Field(max_length=20),
        kind(List, "a list of hosts and ports, such as [sentinel-0:26379]"),
    ] = Field((), description="Sentinels that know the master, instead of the host in `url`")
    master: Text | None = Field(None, description="The master's name there")
    ca_file: Certificates | None = Field(None, description="Certificates in PEM form to trust instead")

    @field_validator("url", mode="before")
    @classmethod
    def _read_url(cls, value: Any, info: Info) -> Secret:
        secret = given_secret(value, info)
        try:
            read_redis_url(secret.reveal())
        except ValueError:
            raise fault(_URL_ACCEPTED, _HIDDEN, key=value.keys[-1]) from None
        return secret

    @field_validator("ca_file", mode="before", json_schema_input_type=str)
    @classmethod
    def _read_ca_file(cls, value: Any, info: Info) -> Certificates:
        if not isinstance(value, str) or not value:
            raise fault("a path", describe(value))
        return read_certificates(info.context.folder / value)

    @model_validator(mode="after")
    def _go_together(self) -> RedisKeys:
        target = read_redis_url(self.url.reveal())
        if bool(self.sentinels) != (self.master is not None):
            raise fault("sentinels and master, or neither", "one of them alone")
        if self.sentinels and (target.host or target.path):
            raise fault(
                "a url without a host, such as redis:///0, as sentinels tell it", "a host in url, and sentinels"
            )
        if not self.sentinels and not target.host and not target.path:
            raise fault("a host in url, or sentinels and master", "neither")
        if self.ca_file is not None and not target.tls:
            raise fault("rediss:// in url, as ca_file is for TLS alone", "a ca_file without TLS")
        return self

    def complete(self) -> RedisConfig:
        """All of it together."""
        target = read_redis_url(self.url.reveal())
        return RedisConfig(
            target.host,
            target.port,
            target.tls,
            target.path,
            target.db,
            target.username,
            target.password,
            self.sentinels,
            self.master,
            self.ca_file,
        )


class Cluster(Keys):
    """Several processes that share the budgets of one config."""

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True, defer_build=True)

    name: Annotated[str, PlainValidator(_name, json_schema_input_type=str)] = Field(
        "rtc-room-exporter", description="Replicas of one name share budgets; part of all keys in Redis"
    )
    redis: RedisKeys = Field(description="Where Redis or Valkey is")
    replica: Annotated[str, PlainValidator(_name, json_schema_input_type=str)] | None = Field(
        None, description="This replica's name, unique in the cluster; default: `--cluster.replica`, or the host's name"
    )
    lease: Annotated[float, duration(2.0, 60.0, "from 2s to 1m")] = Field(
        5.0, description="After a crash the next replica waits for so long, from 2s to 1m"
    )
    serve: Literal["own", "all"] = Field(
        "own", description="Publish the rooms of the budgets that this replica holds, or `all` rooms"
    )

    def complete(self) -> ClusterConfig:
        """What the rest of the exporter sees."""
        return ClusterConfig(self.name, self.redis.complete(), self.replica, self.lease, self.serve)


def unchanged_but_serve(before: ClusterConfig | None, after: ClusterConfig | None) -> Sequence[str]:
    """Why a running process cannot take over the new keys; empty if it can."""
    if before is None or after is None:
        return [] if before is after else ["cluster: begins or ends with a restart only"]
    changed = [name for name in ("name", "redis", "replica", "lease") if getattr(before, name) != getattr(after, name)]
    return [f"cluster.{name}: changes with a restart only; a reload may change serve" for name in changed]
