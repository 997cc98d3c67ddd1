"""
The OpenAPI description of the JSON API, generated from the types of its answers and the accepted parameter values.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any, Final

import msgspec

from exporter import __version__
from exporter.model import Severity
from exporter.states import RoomState
from exporter.web import answered
from exporter.web.parameters import DEFAULT_LIMIT, LONGEST_TEXT, MAX_LIMIT
from exporter.web.rooms import Order

_JSON: Final = "application/json"
_OPENAPI: Final = "3.1.1"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Json = dict[str, Any]


def _one_of(values: type[StrEnum]) -> Json:
    return {"type": "string", "enum": [*(str(value) for value in values), ""]}


ROOMS_PARAMETERS: Final[Mapping[str, tuple[str, Json]]] = {
    "source": ("Only rooms of this source.", {"type": "string", "format": "source"}),
    "state": (
        "Only rooms in this state; several add up.",
        {"type": "array", "items": _one_of(RoomState)},
    ),
    "above": (
        "Only rooms whose last reading is above this threshold or a higher one.",
        _one_of(Severity),
    ),
    "q": (
        "Part of the room id, or of a label written name=value; case does not matter.",
        {"type": "string", "maxLength": LONGEST_TEXT},
    ),
    "order": (
        "room: by source and id; users: most users first; share: highest share of the threshold first.",
        {**_one_of(Order), "default": str(Order.ROOM)},
    ),
    "limit": (
        "Number of rooms on a page.",
        {"oneOf": [{"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}, {"const": ""}], "default": DEFAULT_LIMIT},
    ),
    "after": ("Continue after a page: the value next of that page.", {"type": "string", "format": "cursor"}),
}
"""
The parameters of ``/api/v1/rooms``: description and schema by name. An empty value means the same as no parameter.
"""


@cache
def description() -> bytes:
    """The description as JSON; constant while the process runs."""
    types = (answered.Sources, answered.Rooms, answered.Cluster, list[answered.TargetGroup], answered.Refusal)
    (sources, rooms, cluster, groups, refusal), schemas = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    refused = _answer("A parameter is not accepted; the answer says why.", refusal)
    next_page = {
        "Link": {"description": "The next page, with rel=next, if there is one.", "schema": {"type": "string"}}
    }
    document = {
        "openapi": _OPENAPI,
        "jsonSchemaDialect": _DIALECT,
        "info": {
            "title": "rtc-room-exporter",
            "version": __version__,
            "summary": "How many people are in each live room.",
            "description": "Every key with a unit in its name is in that unit; null is unknown.",
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/api/v1/sources": _get(
                "sources",
                "Every source's figures, budget, last failures and where its rooms come from",
                {"200": _answer("Every source.", sources), "400": refused},
            ),
            "/api/v1/rooms": _get(
                "rooms",
                "Rooms, page by page",
                {"200": _answer("One page of rooms.", rooms, next_page), "400": refused},
                ROOMS_PARAMETERS,
            ),
            "/api/v1/cluster": _get(
                "cluster",
                "The replicas, and which of them may call on which budget",
                {
                    "200": _answer("The cluster, as this replica sees it.", cluster),
                    "400": refused,
                    "404": _answer("The exporter is no replica of a cluster.", refusal),
                },
            ),
            "/sd/rooms": _get(
                "target_groups",
                "The watched rooms, as Prometheus' http_sd has it",
                {
                    "200": _answer("A group for each source and set of labels.", groups),
                    "400": refused,
                    "404": _answer("There is no such source.", refusal),
                    "503": _answer("No source has been looked at yet, or rooms are still being found.", refusal),
                },
                {"source": ROOMS_PARAMETERS["source"]},
            ),
            "/api/v1/openapi.json": _get(
                "openapi",
                "This description",
                {"200": _answer("An OpenAPI document.", {"type": "object"}), "400": refused},
            ),
        },
        "components": {"schemas": schemas},
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def _get(name: str, summary: str, answers: Json, parameters: Mapping[str, tuple[str, Json]] | None = None) -> Json:
    described = [
        {"name": name, "in": "query", "description": words, "schema": schema}
        for name, (words, schema) in (parameters or {}).items()
    ]
    return {"get": {"operationId": name, "summary": summary, "parameters": described, "responses": answers}}


def _answer(words: str, schema: Json, headers: Json | None = None) -> Json:
    return {"description": words, "content": {_JSON: {"schema": schema}}, "headers": headers or {}}
