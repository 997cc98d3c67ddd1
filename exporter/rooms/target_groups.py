"""
The reply of Prometheus' http_sd: a JSON list of target groups, each target a room id.

::

    [{"targets": ["lobby", "stage"], "labels": {"event": "launch"}}]

It is read as Prometheus reads it: ``targets`` and ``labels`` may be missing or null, upper and lower case of these two
names mean the same, of two equal keys the last one holds, a label without a value is none, and nothing else may stand
there. Three things differ:

* A bare ``null`` and bytes that are not UTF-8 are refused. The first would drop every room, the second names another
  room.
* Labels keep to the rules of the config. Those that begin with ``__`` are Prometheus' own and left out.
* A room id that the API cannot have (empty, too long, with control characters) is left out, with a warning, and so is a
  label with control characters, or with a name that the exporter or Prometheus sets itself. Users may have made them,
  and one of them must not keep all other rooms from being found.

A room that stands there several times is one room with the labels of its first group.

Nothing here knows more than the position in the text: 100,000 rooms are read one by one in Python, so that other
threads run all along, which they cannot while ``json.loads`` works. Errors show no word of the text.
"""

from __future__ import annotations

import codecs
import gc
import re
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from typing import Final, NoReturn

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from exporter.config.errors import Problems
from exporter.config.garbage import collection_paused
from exporter.config.rooms import Context, Defaults, Labels, read_labels
from exporter.config.validation import words
from exporter.config.values import Map
from exporter.model import Room
from exporter.vendors.codec import RoomIdRule

MOST_ROOMS: Final = 500_000
_PIECE: Final = 64 * 1024
_LONGEST_TEXT: Final = 64 * 1024
_MOST_KNOWN: Final = 2_000
"""
Sets of labels that are remembered. A hundred thousand of them, freed in one go, would keep other threads waiting; so
would the garbage collector if it looked at all of them together, once its pause is over.
"""

_GROUPS: Final = 'a list such as [{"targets": ["lobby"], "labels": {"event": "launch"}}]'
_LABEL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SPACE: Final = re.compile(r"[ \t\n\r]{0,65536}")
_SIMPLE_TEXT: Final = re.compile(r'[ \t\n\r]{0,64}"([^"\\\x00-\x1f]{0,512})"')
_DECODER: Final = JSONDecoder()
_KINDS: Final = {
    "": "the end of the body",
    '"': "text",
    "[": "a list",
    "{": "a mapping",
    "n": "null",
    "t": "a boolean",
    "f": "a boolean",
    "\ufeff": "a byte order mark",
    **dict.fromkeys("-0123456789", "a number"),
    **{mark: f"the character {mark}" for mark in ",:]}"},
}


class TargetGroupsError(ValueError):
    """Why a body cannot be used, in one line without a word of it."""


def read_target_groups(body: bytes | bytearray, rule: RoomIdRule, defaults: Defaults) -> tuple[dict[str, Room], str]:
    """
    The rooms of a body by id, and what looks like a mistake, empty if nothing does. Blocks.

    Args:
        defaults: Labels and thresholds of the source, for what rooms have none of their own of.

    Raises:
        TargetGroupsError: The body is not what Prometheus accepts, or a label is none that a room may have.
    """
    with collection_paused():
        return _rooms(_Groups(_decoded(body)), Context(Problems("http_sd"), rule=rule, defaults=defaults))


def _decoded(body: bytes | bytearray) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    pieces, line = [], 1
    try:
        for start in range(0, len(body), _PIECE):
            piece = body[start : start + _PIECE]
            pieces.append(decoder.decode(piece, final=start + _PIECE >= len(body)))
            line += piece.count(b"\n")
    except UnicodeDecodeError as error:
        line += bytes(error.object).count(b"\n", 0, error.start)
        found = f"the byte 0x{error.object[error.start]:02x}, which is not UTF-8"
        raise TargetGroupsError(f"line {line}: found {found}; accepted: UTF-8") from None
    return "".join(pieces)


def _rooms(groups: _Groups, context: Context) -> tuple[dict[str, Room], str]:
    rooms: dict[str, Room] = {}
    names: dict[str, None] = {}
    left_out = differing = 0
    first = ""
    for room_ids, labels in groups.read():
        both = Defaults(labels).over(context.defaults)
        names |= dict.fromkeys([name for name, _ in labels])
        for room_id in room_ids:
            if room_id in rooms:
                differing += rooms[room_id].labels != both.labels
                continue
            try:
                checked = context.check(room_id, 1)
            except PydanticCustomError as error:
                accepted, found = words(error)
                first = first or f"found {found.replace('{}', 'one')}; accepted: {accepted}"
                left_out += 1
            else:
                rooms[checked] = Room(checked, both.labels, both.thresholds)
                if len(rooms) > MOST_ROOMS:
                    groups.refuse(f"at most {MOST_ROOMS:,} room ids", "more room ids")
    notes = [*context.warnings([tuple((name, "") for name in names)], named=0)]
    if differing:
        notes.append(f"{differing} rooms are listed again with other labels, which are not used")
    if left_out:
        notes.append(f"{left_out} room ids are left out, at first: {first}")
    if groups.labels_left_out:
        notes.append(f"labels of rooms are left out, at first: {groups.labels_left_out}")
    return rooms, "; ".join(notes)


class _Groups:
    """
    A body, read from left to right.

    Attributes:
        labels_left_out: Why the first label that a room may not have is left out; empty if there is none.
    """

    def __init__(self, text: str) -> None:
        self.labels_left_out = ""
        self._text = text
        self._at = 0
        self._known: dict[tuple[tuple[str, str], ...], Labels] = {}

    def read(self) -> Iterator[tuple[list[str], Labels]]:
        """
        Room ids and labels of each group that has targets.

        Raises:
            TargetGroupsError: The body cannot be used from here on.
        """
        if not self._next():
            self.refuse(_GROUPS, "an empty body")
        for _ in self._items("[", "]", _GROUPS):
            room_ids, labels = self._group()
            if room_ids:
                yield room_ids, labels
        if self._next():
            self.refuse("nothing more", "something after the list")

    def refuse(self, accepted: str, found: str = "") -> NoReturn:
        """
        Raises:
            TargetGroupsError: In any case; what was found is what stands next, unless it is told.
        """
        found = found or _KINDS.get(self._next(), "what is no JSON")
        line = self._text.count("\n", 0, self._at) + 1
        raise TargetGroupsError(f"line {line}: found {found}; accepted: {accepted}")

    def _group(self) -> tuple[list[str], Labels]:
        room_ids: list[str] = []
        labels: Labels = ()
        for _ in self._items("{", "}", "a group, which is a mapping with targets and labels"):
            match self._text_or_refuse("targets, labels").casefold():
                case "targets":
                    self._colon()
                    room_ids = self._targets()
                case "labels":
                    self._colon()
                    labels = self._labels()
                case _:
                    self.refuse("targets, labels", "an unknown key in a group")
        return room_ids, labels

    def _targets(self) -> list[str]:
        if self._take("null"):
            return []
        # Go reads null as empty text there.
        return [
            "" if self._take("null") else self._text_or_refuse("a room id as text")
            for _ in self._items("[", "]", "a list of room ids")
        ]

    def _labels(self) -> Labels:
        if self._take("null"):
            return ()
        found: dict[str, str] = {}
        for _ in self._items("{", "}", "a mapping of labels"):
            name = self._text_or_refuse("a label name as text")
            if not _LABEL_NAME.fullmatch(name):
                self.refuse("letters, digits and _, not beginning with a digit", "a label name with other characters")
            self._colon()
            found[name] = "" if self._take("null") else self._text_or_refuse("the value of a label as text")
        given = tuple((name, text) for name, text in found.items() if text and not name.startswith("__"))
        if given not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
                gc.collect(0)
            self._known[given] = self._checked(given)
        return self._known[given]

    def _checked(self, given: tuple[tuple[str, str], ...]) -> Labels:
        labels = Map(1)
        labels.update(given)
        try:
            return read_labels(labels)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        for detail in details:
            labels.pop(str(detail["loc"][0]), None)
        found = "a name" if details[0]["loc"][-1:] == ("[key]",) else "a value"
        accepted = details[0]["ctx"]["accepted"]
        self.labels_left_out = self.labels_left_out or f"found {found} that they may not have; accepted: {accepted}"
        return read_labels(labels)

    def _items(self, opening: str, closing: str, accepted: str) -> Iterator[None]:
        """Stops before each item of a list or a mapping."""
        if not self._take(opening):
            self.refuse(accepted)
        if self._take(closing):
            return
        yield
        while not self._take(closing):
            if not self._take(","):
                self.refuse(f", or {closing}")
            yield

    def _colon(self) -> None:
        if not self._take(":"):
            self.refuse(":")

    def _text_or_refuse(self, accepted: str) -> str:
        if simple := _SIMPLE_TEXT.match(self._text, self._at):
            self._at = simple.end()
            return simple[1]
        if self._next() != '"':
            self.refuse(accepted)
        piece = self._text[self._at : self._at + _LONGEST_TEXT]
        try:
            text, end = _DECODER.raw_decode(piece)
        except JSONDecodeError:
            found = "text without an end" if len(piece) < _LONGEST_TEXT else "text that is too long"
            self.refuse(f"{accepted}, as JSON writes it", f"{found}, or with something that JSON has not")
        self._at += end
        return str(text)

    def _take(self, mark: str) -> bool:
        self._next()
        taken = self._text.startswith(mark, self._at)
        self._at += len(mark) * taken
        return taken

    def _next(self) -> str:
        """The next character that is no space."""
        while self._text[self._at : self._at + 1] in (" ", "\n", "\t", "\r"):
            found = _SPACE.match(self._text, self._at)
            self._at = found.end() if found else self._at
        return self._text[self._at : self._at + 1]
