"""
The keys by which a source's rooms find themselves, and of the listener for callbacks.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, ClassVar, Final

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError
from yarl import URL

from exporter.config.rooms import Info
from exporter.config.secrets import Given, key_forms, read_certificates, read_secret
from exporter.config.urls import read_proxy
from exporter.config.validation import Keys, fault, faults, kind
from exporter.config.values import List, Map, describe
from exporter.vendors.codec import Codec
from exporter.vendors.source import Certificates, Flag, Secret, Text, duration, is_secret

SECRET_KEYS: Final = frozenset(
    {"secret", "previous_secret", "path_token", "previous_path_token", "password", "credentials"}
)
MOST_ROOMS: Final = 1_000_000

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{22,}", re.ASCII)
_SAFE_TEXT: Final = "22 or more letters, digits, - and _, such as openssl rand -hex 16 prints"
_URL_ACCEPTED: Final = "an http or https URL without user and password, which belong below basic_auth"
_SIZES: Final = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "KiB": 2**10, "MiB": 2**20}
_SIZE: Final = re.compile(r"([0-9]{1,12})(B|KB|MB|KiB|MiB)?", re.ASCII)
_SIZE_ACCEPTED: Final = "a size such as 64KiB or 1MiB"
_LISTEN: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]*):(?P<port>[0-9]{1,5})", re.ASCII)
_HIGHEST_PORT: Final = 65_535


def gathered(cls: Any, names: tuple[str, ...], data: dict[str, Any]) -> dict[str, Any]:
    """The values of a mapping, those of a secret's three forms together under its name."""
    values = dict(data)
    for name in names:
        keys = tuple(key for key in key_forms(name) if key in data)
        if keys or cls.model_fields[name].is_required():
            values[name] = Given(keys, [values.pop(key) for key in keys])
    return values


def described(made: JsonSchemaValue, names: tuple[str, ...]) -> JsonSchemaValue:
    """The schema with each secret under one of three keys."""
    for name in names:
        told = made["properties"].pop(name)
        wheres = "", "Variable that holds it: ", "File that holds it: "
        for key, where in zip(key_forms(name), wheres, strict=True):
            made["properties"][key] = told | {"description": where + told["description"]}
        one: list[Any] = [{"required": [key]} for key in key_forms(name)]
        if name in made.get("required", ()):
            made["required"].remove(name)
        else:
            one.append({"not": {"anyOf": one[:]}})
        made.setdefault("allOf", []).append({"oneOf": one})
    return made


def given_secret(given: Given, info: Info) -> Secret:
    """The secret of the field that is validated."""
    return read_secret(str(info.field_name), given, folder=info.context.folder, env=info.context.env)


class SecretKeys(Keys):
    """A mapping some of whose values are secrets: each stands under ``X``, ``X_env`` or ``X_file``."""

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

    @classmethod
    def secret_fields(cls) -> tuple[str, ...]:
        """Names of the secrets."""
        return tuple(name for name, info in cls.model_fields.items() if is_secret(info.annotation))

    @model_validator(mode="before")
    @classmethod
    def _gather_secrets(cls, data: Any) -> Any:
        return gathered(cls, cls.secret_fields(), data) if isinstance(data, dict) else data

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return described(handler.resolve_ref_schema(handler(core)), cls.secret_fields())


def _size(value: object) -> int:
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    size = int(found[1]) * _SIZES[found[2] or ""] if found else 0
    if not 1024 <= size <= 2**30:
        raise fault(f"{_SIZE_ACCEPTED}, from 1KiB to 1024MiB")
    return size


def whole(least: int, most: int) -> BeforeValidator:
    def read(value: object) -> int:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value, re.ASCII) else -1
        if not least <= number <= most:
            raise fault(f"a whole number from {least} to {most}")
        return number

    return BeforeValidator(read, json_schema_input_type=Annotated[int, WithJsonSchema({"type": "integer"})])


def _pattern(value: object) -> re.Pattern[str]:
    if not isinstance(value, str):
        raise fault("a regular expression", describe(value))
    try:
        return re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise fault("a regular expression that Python can read", f"{{}} ({error})") from None


def _url(value: object) -> str:
    try:
        url = URL(value) if isinstance(value, str) else URL()
        usable = url.scheme in ("http", "https") and url.host is not None and url.user is None and not url.fragment
    except ValueError:
        usable = False
    if not usable or not isinstance(value, str) or re.search(r"[\s\x00-\x1f\x7f@]", value.partition("?")[0]):
        raise fault(_URL_ACCEPTED, "a value that is not shown, as it may hold a password")
    return value


def _path(value: object, info: Info) -> str:
    if not isinstance(value, str) or not value:
        raise fault("a path", describe(value))
    return str(info.context.folder / value)


def _network(value: object) -> str:
    try:
        return str(ipaddress.ip_network(str(value), strict=False))
    except ValueError:
        raise fault("an address or a network such as 10.0.0.0/8") from None


def _listen_address(value: object) -> str:
    found = _LISTEN.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found["port"]) > _HIGHEST_PORT:
        raise fault("[host]:port, such as 127.0.0.1:9879")
    return str(value)


def _token(given: Given, info: Info) -> Secret:
    token = given_secret(given, info)
    if not _TOKEN.fullmatch(token.reveal()):
        raise fault(_SAFE_TEXT, "a token that is too short or has other characters", key=given.keys[-1])
    return token


Size = Annotated[int, BeforeValidator(_size, json_schema_input_type=str)]
Patterns = Annotated[
    tuple[Annotated[re.Pattern[str], PlainValidator(_pattern, json_schema_input_type=str)], ...],
    Field(max_length=100),
    kind(List, "a list of regular expressions, such as ['live_.*']"),
]
Networks = Annotated[
    tuple[Annotated[str, PlainValidator(_network, json_schema_input_type=str)], ...],
    Field(max_length=1000),
    kind(List, "a list of networks, such as [10.0.0.0/8]"),
]


class BasicAuth(SecretKeys):
    """Basic authentication at an http_sd endpoint."""

    username: Text = Field(description="The user's name")
    password: Secret = Field(description="The user's password")

    _read = field_validator("password", mode="before")(given_secret)


class Authorization(SecretKeys):
    """The header Authorization of requests to an http_sd endpoint."""

    type: Text = Field("Bearer", description="The header's first word")
    credentials: Secret = Field(description="What follows it")

    _read = field_validator("credentials", mode="before")(given_secret)


class TlsClient(Keys):
    """How an http_sd endpoint is known, and what it is shown."""

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

    ca_file: Certificates | None = Field(None, description="Certificates in PEM form to trust instead")
    cert_file: str | None = Field(None, description="Certificate of the client; with `key_file`")
    key_file: str | None = Field(None, description="Its key")
    server_name: Text | None = Field(None, description="Name that the endpoint's certificate must be of")
    insecure_skip_verify: Flag = Field(default=False, description="Believe any certificate")

    @field_validator("ca_file", mode="before", json_schema_input_type=str)
    @classmethod
    def _read_ca_file(cls, value: Any, info: Info) -> Certificates:
        return read_certificates(info.context.folder / _path(value, info))

    @field_validator("cert_file", "key_file", mode="before", json_schema_input_type=str)
    @classmethod
    def _read_path(cls, value: Any, info: Info) -> str:
        return _path(value, info)

    @model_validator(mode="after")
    def _go_together(self) -> TlsClient:
        if (self.cert_file is None) != (self.key_file is None):
            raise fault("cert_file and key_file, or neither", "one of them alone")
        return self


class HttpSd(Keys):
    """One HTTP service discovery endpoint, as Prometheus has them."""

    url: Annotated[str, PlainValidator(_url, json_schema_input_type=str)] = Field(
        repr=False, description="Where the list of rooms is read"
    )
    refresh_interval: Annotated[float, duration(1.0, 86_400.0, "from 1s to 24h")] = Field(
        10.0, description="Time between two requests, and the time-out of one, from 1s to 24h"
    )
    max_age: Annotated[float, duration(1.0, 604_800.0, "from 1s to 168h")] | None = Field(
        None, description="A list that cannot be refreshed for so long counts no longer; default: it counts for ever"
    )
    max_body: Size = Field(32 * 2**20, description="Largest reply, decompressed")
    basic_auth: BasicAuth | None = Field(None, description="User and password")
    authorization: Authorization | None = Field(None, description="Another header Authorization")
    tls_config: TlsClient = Field(TlsClient(), description="Certificates")
    proxy_url: str | None = Field(None, repr=False, description="URL of an HTTP proxy")
    follow_redirects: Flag = Field(default=True, description="Follow redirects; other hosts are told no credentials")

    @field_validator("proxy_url", mode="before", json_schema_input_type=str)
    @classmethod
    def _read_proxy(cls, value: Any) -> Any:
        return read_proxy(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_way(self) -> HttpSd:
        if self.basic_auth and self.authorization:
            raise fault("one of basic_auth and authorization", "both")
        return self


class VendorList(Keys):
    """Passes over the vendor's list of rooms."""

    interval: Annotated[float, duration(1.0, 86_400.0, "from 1s to 24h")] | None = Field(
        None, description="Time from one pass to the next, from 1s to 24h; default: the API's"
    )
    full_interval: Annotated[float, duration(60.0, 604_800.0, "from 1m to 168h")] = Field(
        3600.0, description="Time between two passes over everything, where a list tells what is new, from 1m to 168h"
    )
    lookback: Annotated[float, duration(3600.0, 1_209_600.0, "from 1h to 336h")] = Field(
        86_400.0, description="How far a full pass looks back, where a list is of a span of time, from 1h to 336h"
    )
    rate_limit: Annotated[float, Field(ge=0.001, le=10_000, allow_inf_nan=False)] | None = Field(
        None, description="List calls per second; default: half of the documented limit"
    )
    counts: Flag = Field(
        default=False, description="Take the list's counts as readings, without admin users; `zego_rtc` only"
    )


class Callbacks(SecretKeys):
    """Callbacks of the vendor that this source accepts."""

    secret: Secret = Field(description="What the vendor signs callbacks with")
    previous_secret: Secret | None = Field(None, description="Accepted as well while the secret is changed")
    path_token: Secret = Field(description="Last part of the path, 22 or more URL-safe characters")
    previous_path_token: Secret | None = Field(None, description="Accepted as well while the token is changed")
    max_age: Annotated[float, duration(1.0, 3600.0, "from 1s to 1h")] | None = Field(
        None, description="By how much a callback's time may differ from ours, from 1s to 1h; default: the API's"
    )

    _read = field_validator("secret", "previous_secret", mode="before")(given_secret)
    _read_token = field_validator("path_token", "previous_path_token", mode="before")(_token)


def _mapping(value: object) -> object:
    """``vendor_list:`` alone means all its defaults."""
    return Map(0) if value == "" else value


class Discovery(Keys):
    """How a source's rooms find themselves."""

    max_rooms: Annotated[int, whole(1, MOST_ROOMS)] | None = Field(
        None, description="Rooms of the source, at most; default: what fits its budget, 20000 at most"
    )
    new_rooms_per_minute: Annotated[int, whole(1, 100_000)] = Field(
        600, description="New rooms that list and callbacks may bring"
    )
    include: Patterns = Field(
        (), description="A found room's id must match one of these regular expressions as a whole"
    )
    exclude: Patterns = Field((), description="And none of these")
    probation: Annotated[float, duration(1.0, 3600.0, "from 1s to 1h")] = Field(
        60.0, description="A candidate that no poll confirms for so long is dropped, from 1s to 1h"
    )
    linger: Annotated[float, duration(0.0, 3600.0, "from 0 to 1h")] = Field(
        60.0, description="So long a room that is gone stays published as missing, from 0 to 1h; a scrape or more"
    )
    drop_after: Annotated[int, whole(1, 100)] | None = Field(
        None, description="Good polls in a row that say that a room is gone; default: 2, `zego_rtc` 3"
    )
    forget_after: Annotated[float, duration(60.0, 86_400.0, "from 1m to 24h")] = Field(
        600.0, description="So long it is remembered that a room is gone, from 1m to 24h"
    )
    refused_for: Annotated[float, duration(60.0, 604_800.0, "from 1m to 168h")] = Field(
        3600.0, description="So long a found room that the vendor refused is not asked for again, from 1m to 168h"
    )
    idle_after: Annotated[float, duration(0.0, 86_400.0, "from 0 to 24h")] = Field(
        0.0, description="A found room that is empty for so long is polled every `idle_interval`; 0: never"
    )
    idle_interval: Annotated[float, duration(1.0, 86_400.0, "from 1s to 24h")] = Field(
        60.0, description="Time between two readings of such a room, from 1s to 24h"
    )
    http_sd: Annotated[tuple[HttpSd, ...], Field(max_length=20), kind(List, "a list: - url: https://… for each")] = (
        Field((), description="HTTP service discovery endpoints that name rooms")
    )
    vendor_list: Annotated[VendorList, BeforeValidator(_mapping)] | None = Field(
        None, description="Read the vendor's own list of rooms"
    )
    callbacks: Callbacks | None = Field(None, description="Accept the vendor's callbacks")

    def objections(self, codec: Codec) -> Exception | None:
        """The errors of keys that this API does not offer; ``None`` if there are none."""
        found: list[tuple[tuple[str | int, ...], PydanticCustomError]] = []
        if self.vendor_list and codec.lists is None:
            words = fault(f"http_sd, rooms_files or callbacks: {codec.api} has no list of rooms", "vendor_list")
            found.append((("vendor_list",), words))
        elif self.vendor_list and codec.lists and self.vendor_list.counts and not codec.lists.tells_users:
            words = fault(f"false: the list of {codec.api} tells no users that are readings")
            found.append((("vendor_list", "counts"), words))
        elif self.vendor_list and codec.lists and codec.lists.answers_all:
            for key in ("interval", "rate_limit", "counts"):
                if getattr(self.vendor_list, key):
                    words = fault(f"the source's own keys: a poll of {codec.api} tells all rooms, and is its list")
                    found.append((("vendor_list", key), words))
        if self.callbacks and codec.callbacks is None:
            found.append((("callbacks",), fault(f"no callbacks: {codec.api} has none", "callbacks")))
        return faults(found) if found else None


class Listener(Keys):
    """Where callbacks arrive."""

    listen_address: Annotated[str, PlainValidator(_listen_address, json_schema_input_type=str)] = Field(
        description="Address of the listener for callbacks, `[host]:port`"
    )
    max_body: Size = Field(65_536, description="Largest callback")
    trusted_proxies: Networks = Field((), description="Networks whose `X-Forwarded-For` is believed")
    allow: Networks = Field((), description="Networks from which callbacks are taken; default: all")
