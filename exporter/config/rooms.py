"""
Validates rooms: ids, labels, thresholds. A config and a rooms file share this.

A file may list 100,000 rooms. Python code validates them one by one, so that other threads can run in between.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias, TypeVar

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError, PydanticOmit

from exporter.config.errors import Problems
from exporter.config.validation import Keys, fault, faults
from exporter.config.values import List, ManyLines, Map, describe
from exporter.model import NO_THRESHOLDS, Room, Thresholds
from exporter.vendors.codec import RoomIdRule
from exporter.vendors.source import has_control_character

T = TypeVar("T")
Labels: TypeAlias = tuple[tuple[str, str], ...]

RESERVED_LABELS: Final = frozenset({"vendor", "api", "source", "room", "severity", "le", "quantile", "job", "instance"})
_SET_BY_OTHERS: Final = frozenset({"alertname", "container", "endpoint", "namespace", "pod", "service"})
_LABEL_NAME: Final = rf"(?!__)(?!({'|'.join(sorted(RESERVED_LABELS))})$)[A-Za-z_][A-Za-z0-9_]*"
_LABEL_ACCEPTED: Final = (
    f"letters, digits and _, not beginning with a digit or __; reserved are {', '.join(sorted(RESERVED_LABELS))}"
)
_NAMED_ODD_IDS: Final = 3
_ROOMS_AS_ITEMS: Final = (
    "a list: - lobby for each room; - id: lobby for one with labels or thresholds, and those below id"
)


@dataclass(frozen=True, slots=True)
class Defaults:
    """Labels and thresholds for several rooms. For each key, a room's own value comes before the default."""

    labels: Labels = ()
    thresholds: Thresholds = NO_THRESHOLDS

    def over(self, default: Defaults) -> Defaults:
        """These values, completed by the default ones."""
        if default == NO_DEFAULTS:
            return self
        labels = {**dict(default.labels), **dict(self.labels)} if default.labels and self.labels else None
        return Defaults(
            self.labels or default.labels if labels is None else tuple(sorted(labels.items())),
            self.thresholds.over(default.thresholds),
        )


NO_DEFAULTS: Final = Defaults()


@dataclass(slots=True)
class Context:
    """
    The state that a file's validators share: the file, and the rooms validated so far.

    Args:
        folder: Of the config file. Relative paths are relative to it.
        env: The environment, for a config's secrets.
        rule: For room ids; ``None`` if the API is unknown.
        defaults: Labels and thresholds of rooms that have none of their own.

    Attributes:
        lines: The line of each valid room id.
        room_warnings: Warnings about the rooms of each source, by the source's name.
    """

    problems: Problems
    folder: Path = Path()
    env: Mapping[str, str] = field(default_factory=dict)
    rule: RoomIdRule | None = None
    defaults: Defaults = NO_DEFAULTS
    lines: dict[str, int] = field(default_factory=dict)
    room_warnings: dict[str, list[str]] = field(default_factory=dict)
    _odd: list[str] = field(default_factory=list)
    _joined: list[int] = field(default_factory=list)
    _items: Iterator[int] = field(default_factory=lambda: iter(()))
    _line: int = 0
    _shared: dict[Any, Any] = field(default_factory=dict)

    def begin(self, rule: RoomIdRule | None, defaults: Defaults) -> None:
        """Begin with the rooms of another source."""
        self.rule, self.defaults, self.lines, self._odd, self._joined = rule, defaults, {}, [], []

    def take(self, items: List) -> None:
        """Begin a list of rooms, whose items are validated one after the other."""
        self._items = iter(items.lines)

    def step(self) -> None:
        """Go to the next item of the list."""
        self._line = next(self._items)

    def check(self, room_id: str, line: int | None = None) -> str:
        """
        Validate a room id and record it as listed.

        Args:
            line: The id's line; default: the line of the present item.

        Raises:
            PydanticCustomError: The id is not valid.
        """
        if not room_id:
            raise fault("a room id")
        # No character has more than four bytes, so most ids need not be encoded. The size comes first: an id may have
        # megabytes, and the other checks would block other threads.
        if self.rule and len(room_id) * 4 > self.rule.max_bytes:
            size = len(room_id.encode(errors="surrogatepass"))
            if size > self.rule.max_bytes:
                raise fault(f"at most {self.rule.max_bytes} bytes", f"{{}} of {size} bytes", name=True)
        if has_control_character(room_id):
            raise fault("a room id without control characters", name=True)
        if room_id in self.lines:
            raise fault("each room once", f"{{}} again, first in line {self.lines[room_id]}", name=True)
        if self.rule and not self.rule.alphabet.fullmatch(room_id):
            self._odd.append(room_id)
        line = self._line if line is None else line
        if isinstance(room_id, ManyLines) and re.search(r"\s-\s", room_id):
            self._joined.append(line)
        self.lines[room_id] = line
        return str(room_id)

    def shared(self, value: T) -> T:
        """The first equal value, to share one object: most labels and thresholds repeat."""
        found: T = self._shared.setdefault(value, value)
        return found

    def warnings(self, labels: Iterable[Labels], named: int = _NAMED_ODD_IDS) -> Iterator[str]:
        """
        Warnings about the rooms listed so far, which have these labels.

        Args:
            named: Most rooms that are named.
        """
        if self._joined:
            # To YAML this is one id. Nothing would refuse it, and its room would read 0.
            yield (
                f"the room id in line {self._joined[0]} goes on in the next line, where a dash is a part of it; "
                "each room begins with a dash as far in as the others"
            )
        if self._odd and self.rule:
            names = ", ".join(self.problems.show_name(room_id) for room_id in self._odd[:named])
            more = ", …" if len(self._odd) > named else ""
            shown = f" ({names}{more})" if names else ""
            count = f"{len(self._odd)} of {len(self.lines)} room ids hold undocumented characters"
            yield f"{count}{shown}; documented are {self.rule.described}"
        if theirs := {name for each in labels for name, _ in each} & _SET_BY_OTHERS:
            words = "Prometheus' operator or an alert sets these labels, too, and its own win"
            yield f"{words}: {', '.join(sorted(theirs))}"


Info: TypeAlias = "ValidationInfo[Context]"


def capped(read: Callable[[Any, Info], T], shape: Any) -> PlainValidator:
    """
    Validates items of long lists, with the limit of ``read_capped``.

    Args:
        shape: The type as written in the file, for the JSON Schema.
    """
    return PlainValidator(
        lambda value, info: read_capped(partial(read, value, info), info), json_schema_input_type=shape
    )


def read_capped(read: Callable[[], T], info: Info) -> T:
    """
    Validate one item of a long list. After a thousand problems, further invalid items are dropped and only counted.

    Args:
        read: Validates the item and returns its value.
    """
    problems = info.context.problems
    admitted = problems.admitted
    try:
        return read()
    except (PydanticCustomError, ValidationError) as error:
        count = error.error_count() if isinstance(error, ValidationError) else 1
        # Do not count again the problems that an inner list has counted.
        if problems.admit(count - (problems.admitted - admitted)):
            raise
        raise PydanticOmit from None


def _users(value: object) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,15}", value, re.ASCII):
        raise fault("a whole number of users, 0 or more")
    return int(value)


_Users = Annotated[int, PlainValidator(_users), WithJsonSchema({"type": "integer", "minimum": 0})]


class ThresholdKeys(Keys):
    """Users above which a room is worth a warning, and worth a call at night."""

    warning: _Users | None = None
    critical: _Users | None = None


def read_labels(value: object) -> Labels:
    """
    The labels of a mapping, sorted by name.

    Raises:
        PydanticCustomError: It is no mapping.
        ValidationError: Some of it cannot be labels of a room.
    """
    if not isinstance(value, Map):
        raise fault("a mapping such as {event: launch}", describe(value))
    named = [name for name in value if not re.fullmatch(_LABEL_NAME, name, re.ASCII)]
    errors: list[tuple[tuple[str, ...], PydanticCustomError]]
    errors = [((name, "[key]"), fault(_LABEL_ACCEPTED, "the label name {}")) for name in named]
    for name, text in value.items():
        if not isinstance(text, str):
            errors.append(((name,), fault("text")))
        elif has_control_character(text):
            errors.append(((name,), fault("text without control characters")))
    if errors:
        raise faults(errors)
    return tuple(sorted((name, str(text)) for name, text in value.items()))


def _thresholds(value: object, info: Info) -> Thresholds:
    """The item's own thresholds. Completed by the defaults, the warning must be below the critical one."""
    if not isinstance(value, Map):
        raise fault("a mapping such as {warning: 800, critical: 950}", describe(value))
    keys = ThresholdKeys.model_validate(value)
    own = Thresholds(keys.warning, keys.critical)
    both = own.over(info.context.defaults.thresholds)
    if not both.in_order:
        raise fault("warning below critical", f"warning {both.warning} and critical {both.critical}")
    return own


def _id(value: object, info: Info) -> str:
    if not isinstance(value, str):
        raise fault("a room id", describe(value))
    return info.context.check(value)


RoomId = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean", "null"], "minLength": 1})]
LabelsField = Annotated[
    Labels,
    PlainValidator(read_labels),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": f"^{_LABEL_NAME}$"},
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        }
    ),
]
ThresholdsField = Annotated[Thresholds, PlainValidator(_thresholds, json_schema_input_type=ThresholdKeys)]


class RoomKeys(Keys):
    """A room with labels or thresholds of its own."""

    model_config = ConfigDict(json_schema_extra={"required": ["id"]})

    id: Annotated[str, PlainValidator(_id, json_schema_input_type=RoomId)] = Field("", validate_default=True)
    labels: LabelsField = ()
    thresholds: ThresholdsField = NO_THRESHOLDS


def _room(value: object, info: Info) -> Room:
    context = info.context
    context.step()
    if isinstance(value, str):
        return Room(context.check(value), context.defaults.labels, context.defaults.thresholds)
    if not isinstance(value, Map):
        raise fault("a room id, or a mapping with id, labels, thresholds", describe(value))
    if "id" not in value and not RoomKeys.model_fields.keys() >= value.keys():
        raise fault("id and the room id as its value, with labels and thresholds beside it", "a mapping without id")
    keys = RoomKeys.model_validate(value, context=context)
    both = Defaults(keys.labels, keys.thresholds).over(context.defaults)
    return Room(keys.id, context.shared(both.labels), context.shared(both.thresholds))


def begin_list(value: object, info: Info, accepted: str) -> List:
    """A list of rooms, whose items are validated next."""
    if not isinstance(value, List):
        raise fault(accepted, describe(value))
    info.context.take(value)
    return value


def _rooms(value: object, info: Info) -> List:
    if isinstance(value, Map):
        raise fault(_ROOMS_AS_ITEMS, "a mapping")
    if isinstance(value, str) and value.startswith("-"):
        raise fault("a list: a dash and a space before each room", "text that begins with a dash")
    return begin_list(value, info, "a list of rooms, such as [lobby, stage]")


RoomsField = Annotated[tuple[Annotated[Room, capped(_room, RoomId | RoomKeys)], ...], BeforeValidator(_rooms)]
