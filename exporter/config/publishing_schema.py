"""
The keys that say which rooms of a source have series of their own, and which series a room has.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from exporter import model
from exporter.config.discovery_schema import MOST_ROOMS, whole
from exporter.config.validation import Keys, fault, kind
from exporter.config.values import List
from exporter.model import Family

_ACCEPTED: Final = ", ".join(Family)


class Publish(Keys):
    """Which rooms have series of their own. The others are counted."""

    top: Annotated[int, whole(1, MOST_ROOMS)] | None = Field(
        None, description="So many rooms have series, the fullest; default: all with `min_users`"
    )
    min_users: Annotated[int, whole(0, MOST_ROOMS)] | None = Field(
        None, description="Only rooms with so many users have series; default: 0"
    )

    @property
    def rule(self) -> model.Publish:
        """The same as the table uses it."""
        return model.Publish(self.top, self.min_users or 0)


def _says_something(value: Publish) -> Publish:
    if value.top is None and value.min_users is None:
        raise fault("top or min_users, or both", "neither")
    return value


def _family(value: object) -> Family:
    if not isinstance(value, str) or value not in [*Family]:
        raise fault(_ACCEPTED)
    return Family(value)


PublishField = Annotated[Publish, AfterValidator(_says_something)]
FamiliesField = Annotated[
    tuple[
        Annotated[
            Family,
            PlainValidator(
                _family, json_schema_input_type=Annotated[str, WithJsonSchema({"type": "string", "enum": [*Family]})]
            ),
        ],
        ...,
    ],
    Field(min_length=1),
    AfterValidator(lambda families: tuple([family for family in Family if family in families])),
    kind(List, f"a list of {_ACCEPTED}"),
]
