"""
Every key of a config, as pydantic models: the keys that all sources have, and each vendor's own keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import reduce
from operator import or_
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, cast

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from exporter.config.cluster_schema import Cluster
from exporter.config.discovery_schema import Discovery, Listener, described, gathered, given_secret
from exporter.config.rooms import (
    NO_DEFAULTS,
    Defaults,
    Info,
    LabelsField,
    RoomsField,
    ThresholdsField,
    capped,
    read_capped,
)
from exporter.config.secrets import read_certificates
from exporter.config.urls import read_base_url, read_proxy
from exporter.config.validation import Keys, fault, kind
from exporter.config.values import List, Map, describe
from exporter.model import NO_THRESHOLDS, Room
from exporter.vendors import APIS
from exporter.vendors.codec import Codec
from exporter.vendors.source import Certificates, Source, has_control_character

WILDCARD: Final = re.compile(r"[*?\[]")
ROOMS_FILE_SUFFIXES: Final = (".yml", ".yaml", ".json", ".txt")

_PATTERN_ACCEPTED: Final = "a path that ends in .yml, .yaml, .json or .txt; wildcards (* ? [) in its last part alone"
_SOURCES_AS_ITEMS: Final = "a list: - name: live for each source, and its other keys below name"
_A_SOURCE: Final = "a mapping with name, api, rooms and the API's own keys"

_Url = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[hH][tT][tT][pP][sS]?://[^/?#\\s]+/?$"})]


def _pattern(value: Any, info: Info) -> str:
    path = PurePath(value) if isinstance(value, str) and not has_control_character(value) else PurePath()
    if path.suffix not in ROOMS_FILE_SUFFIXES or WILDCARD.search(str(path.parent)):
        raise fault(_PATTERN_ACCEPTED)
    return str(info.context.folder / path)


class Entry(Source):
    """A source as it is written in a config. The entry of an API also has the keys of the vendor's model."""

    labels: LabelsField = Field((), description="Labels of `rtc_room_info` for all rooms of the source")
    thresholds: ThresholdsField = Field(
        NO_THRESHOLDS, description="Users above which a room is worth an alert; for all rooms of the source"
    )
    rooms: RoomsField = Field((), description="Room ids, or mappings with id, labels, thresholds")
    rooms_files: Annotated[
        tuple[Annotated[str, capped(_pattern, str)], ...],
        kind(List, "a list of paths, such as [rooms/*.yml]"),
    ] = Field((), description="Files that list more rooms; read again when they change")

    discovery: Discovery | None = Field(None, description="How rooms find themselves, see Discovery")

    @model_validator(mode="before")
    @classmethod
    def _gather_secrets(cls, data: dict[str, Any], info: Info) -> dict[str, Any]:
        info.context.begin(None, NO_DEFAULTS)
        return gathered(cls, cls.secret_fields(), data)

    @field_validator("base_url", mode="before", json_schema_input_type=_Url)
    @classmethod
    def _read_base_url(cls, value: Any, info: Info) -> Any:
        allow_http = info.data.get("allow_http", False)
        return read_base_url(value, allow_http=allow_http) if isinstance(value, str) else value

    @field_validator("proxy", mode="before", json_schema_input_type=_Url)
    @classmethod
    def _read_proxy(cls, value: Any) -> Any:
        return read_proxy(value) if isinstance(value, str) else value

    @field_validator("ca_file", mode="before", json_schema_input_type=str)
    @classmethod
    def _read_ca_file(cls, value: Any, info: Info) -> Certificates:
        if not isinstance(value, str):
            raise fault("text")
        return read_certificates(info.context.folder / value)

    @field_validator("max_staleness")
    @classmethod
    def _outlive_a_failed_poll(cls, value: float, info: Info) -> float:
        """A shorter ``max_staleness`` would make a room disappear after a single failed poll."""
        if {"api", "interval", "timeout"} <= info.data.keys() and info.data["api"] in APIS:
            interval = info.data["interval"] or APIS[info.data["api"]].default_interval
            if value < (least := 1.5 * interval + info.data["timeout"]):
                raise fault(f"1.5 × interval + timeout or more, here {least:g}s")
        return value

    @field_validator("rooms", mode="before")
    @classmethod
    def _begin_rooms(cls, value: Any, info: Info) -> Any:
        codec = APIS.get(info.data.get("api", ""))
        defaults = Defaults(info.data.get("labels", ()), info.data.get("thresholds", NO_THRESHOLDS))
        info.context.begin(codec.room_ids if codec else None, defaults)
        return value

    @field_validator("rooms")
    @classmethod
    def _collect_warnings(cls, rooms: tuple[Room, ...], info: Info) -> tuple[Room, ...]:
        info.context.room_warnings[info.data.get("name", "")] = [*info.context.warnings(room.labels for room in rooms)]
        return rooms

    @field_validator("rooms_files")
    @classmethod
    def _once(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(paths))

    @field_validator("discovery")
    @classmethod
    def _is_offered(cls, value: Discovery | None, info: Info) -> Discovery | None:
        codec = APIS.get(info.data.get("api", ""))
        objections = value.objections(codec) if value and codec else None
        if objections is not None:
            raise objections
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Each secret has three possible keys. A source must have one of them, or at most one if it is optional."""
        return described(handler.resolve_ref_schema(handler(core)), cls.secret_fields())


class NamelessEntry(Entry):
    """A source without a known API. Its common keys are read, to report their problems as well."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore")

    api: Annotated[str, PlainValidator(lambda _: "")] = ""


def _entry(codec: Codec) -> type[Entry]:
    model = codec.source_model
    bases: Any = model, Entry
    reads: Any = field_validator(*model.secret_fields(), mode="before")(given_secret)
    made: Any = create_model(
        model.__name__, __base__=bases, __doc__=f"A source of {codec.api}.", __validators__={"reads": reads}
    )
    return cast(type[Entry], made)


ENTRIES: Final[Mapping[str, type[Entry]]] = {api: _entry(codec) for api, codec in APIS.items()}


def _source(value: Any, handler: ValidatorFunctionWrapHandler, info: Info) -> Any:
    def read() -> Any:
        if not isinstance(value, Map):
            raise fault(_A_SOURCE, describe(value))
        return handler(value)

    return read_capped(read, info)


def _sources(value: Any) -> Any:
    if not isinstance(value, List) or not value:
        raise fault(_SOURCES_AS_ITEMS if isinstance(value, Map) else "a list of sources", describe(value))
    return value


if TYPE_CHECKING:
    _Source = Entry
else:
    _Source = Annotated[Annotated[reduce(or_, ENTRIES.values()), Field(discriminator="api")], WrapValidator(_source)]


class Document(Keys):
    """The config of rtc-room-exporter."""

    model_config: ClassVar[ConfigDict] = ConfigDict(json_schema_extra={"required": ["sources"]}, defer_build=True)

    sources: Annotated[list[_Source], BeforeValidator(_sources)] = Field(
        default_factory=list,
        validate_default=True,
        description="One API polled with one app's credentials each",
        json_schema_extra={"minItems": 1},
    )
    callbacks: Listener | None = Field(None, description="Where the vendors' callbacks arrive")
    cluster: Cluster | None = Field(None, description="Several processes share the budgets")
