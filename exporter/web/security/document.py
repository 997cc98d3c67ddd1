"""
A small YAML file as plain values, and problems that name their line.

This is the one place of the package that knows how the exporter reads YAML.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from exporter import bounded
from exporter.config.errors import ConfigError, Problems
from exporter.config.files import decode
from exporter.config.values import List, ManyLines, Map, Value
from exporter.config.yaml_text import compose
from exporter.web.security.tls import Refused

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

LARGEST_FILE: Final = 2**20
"""Bytes of a web config, a certificate, a key or a bundle of certificates."""

Location: TypeAlias = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""
Model = TypeVar("Model", bound=BaseModel)

_SHOWN_NAME: Final = re.compile(r"http2|[A-Za-z_][A-Za-z_.@-]{0,30}", re.ASCII)
"""Others may be half of a secret that a comma has cut."""
_HASH: Final = re.compile(r"\$2[a-z]?\$")
_NOT_SHOWN: Final = "a value that is not shown, as it may be a secret"


def read_bytes(path: Path) -> bytes:
    """
    What a file holds. Blocks, so it is for a thread when a loop runs.

    Raises:
        ValueError: Why it cannot be read, in words.
    """
    try:
        content = bounded.read_file(path, LARGEST_FILE + 1)
    except OSError as error:
        raise ValueError((error.strerror or "it cannot be read").lower()) from None
    except ValueError:
        raise ValueError("no path") from None
    if len(content) > LARGEST_FILE:
        raise ValueError(f"it has over {LARGEST_FILE:,} bytes")
    return content


class Document:
    """
    The document in a YAML file.

    Args:
        path: As the operator wrote it.
        secret_keys: Names of keys whose values are secrets.

    Attributes:
        values: Mappings, lists and texts. Every scalar is a text; a file without a document is an empty mapping.
        empty: Whether there is no document.

    Raises:
        ConfigError: The bytes are no YAML of one document.
    """

    def __init__(self, path: Path, content: bytes, secret_keys: Iterable[str]) -> None:
        self.path = path
        plain = Problems(path)
        text = decode(content, plain)
        plain.raise_any()
        self._problems = Problems(path, text or "", secret_keys)
        self._root = compose(text or "", self._problems)
        self._problems.raise_any()
        self._found: list[tuple[int, str]] = []
        self.empty = self._root is None
        self.values = {} if self._root is None else _plain(self._root, {})

    @property
    def folder(self) -> Path:
        """Where relative paths begin."""
        return self.path.absolute().parent

    def validate(self, model: type[Model], secrets: frozenset[str]) -> Model | None:
        """
        The values as this model; ``None`` if problems were noted.

        Args:
            secrets: Keys below which no value is ever shown.
        """
        try:
            return model.model_validate(self.values)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                self._note(detail, model, secrets)
            return None

    def add(self, location: Location, found: str, accepted: str) -> None:
        """Note a problem with the value at this place."""
        line, where = self._line(location), self._path(location)
        prefix = f"{self.path}:{line}" + (f": {where}" if where else "")
        self._found.append((line, f"{prefix}: found {found}; accepted: {accepted}"))

    def where(self, location: Location) -> str:
        """File, line and key path, for a warning."""
        return f"{self.path}:{self._line(location)}: {self._path(location)}"

    def read_pem(self, section: str, model: BaseModel, name: str, files: dict[Path, bytes]) -> bytes | None:
        """
        What a section gives under ``name``, or in the file that it names under ``name_file``.

        Args:
            files: Gets what a file holds.

        Returns:
            ``None`` if it is given neither way, or cannot be read, and then that is noted.
        """
        inline, file = getattr(model, name), getattr(model, f"{name}_file")
        if inline is not None:
            return str(inline).encode()
        return None if file is None else self.read_file((section, f"{name}_file"), file, files)

    def read_file(self, location: Location, file: str, files: dict[Path, bytes]) -> bytes | None:
        """What a file holds that is named here; ``None`` if it cannot be read, and then that is noted."""
        path = self.folder / file
        try:
            files[path] = read_bytes(path)
        except ValueError as error:
            self.add(location, f"{self.show(file)}: {error}", "a readable file")
            return None
        return files[path]

    def add_refused(self, section: str, model: BaseModel, refused: Refused) -> None:
        """Note that a certificate or a key cannot be used."""
        in_file = getattr(model, f"{refused.key}_file") is not None
        location = section, f"{refused.key}_file" if in_file else refused.key
        self.add(location, f"a file with {refused.found}" if in_file else refused.found, refused.accepted)

    def show(self, value: object) -> str:
        """The value as a problem may print it."""
        if value == "" or value is None:
            return "nothing"
        if not isinstance(value, str):
            return "a list" if isinstance(value, list) else "a mapping"
        if isinstance(value, ManyLines) or _HASH.search(value) or "PRIVATE KEY" in value:
            return _NOT_SHOWN
        return self._problems.show(value)

    def raise_any(self) -> None:
        """
        Raises:
            ConfigError: Problems were noted.
        """
        if self._found:
            raise ConfigError([words for _, words in sorted(self._found, key=lambda problem: problem[0])])

    def _note(self, detail: ErrorDetails, model: type[BaseModel], secrets: frozenset[str]) -> None:
        location = tuple(detail["loc"])
        if detail["type"] == "extra_forbidden":
            self._note_unknown_key(location, _fields_at(model, location[:-1]))
            return
        secret = any(step in secrets for step in location)
        value = self._value(location)
        shown = _NOT_SHOWN if secret and isinstance(value, str) and value else self.show(value)
        self.add(location, shown, _accepted(detail))

    def _note_unknown_key(self, location: Location, known: frozenset[str]) -> None:
        accepted = ", ".join(sorted(known))
        key, value = str(location[-1]), self._value(location)
        if value == "" or not _SHOWN_NAME.fullmatch(key):
            found = "an unknown key, not shown here as it may be part of a secret"
            self.add((*location[:-1], ""), found, accepted)
            return
        nearest = get_close_matches(key, known, n=1)
        hint = f" (did you mean {nearest[0]}?)" if nearest else ""
        self.add(location, f"an unknown key{hint}", accepted)

    def _value(self, location: Location) -> object:
        value: Any = self.values
        for step in location:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def _line(self, location: Location) -> int:
        node: Value | None = self._root
        line = 1
        for step in location:
            if isinstance(node, Map) and isinstance(step, str):
                line, node = node.line_of(step), node.get(step)
            elif isinstance(node, List) and isinstance(step, int) and step < len(node):
                line, node = node.lines[step], node[step]
            else:
                break
        return line

    def _path(self, location: Location) -> str:
        path = ""
        for step in location:
            if isinstance(step, int):
                path += f"[{step}]"
            elif step:
                path += "." * bool(path) + (step if _SHOWN_NAME.fullmatch(step) else "?")
        return path


def _plain(value: Value, known: dict[int, Any]) -> Any:
    """The same without lines. What aliases repeat stays shared: copied, a small file could fill the memory."""
    if isinstance(value, str):
        return value
    if id(value) not in known:
        if isinstance(value, Map):
            known[id(value)] = {key: _plain(item, known) for key, item in value.items()}
        else:
            known[id(value)] = [_plain(item, known) for item in value]
    return known[id(value)]


def _fields_at(model: type[BaseModel], location: Location) -> frozenset[str]:
    """The keys that the mapping at this place may have."""
    fields = model.model_fields
    for step in location:
        inner = fields[str(step)].annotation
        kinds = [inner, *getattr(inner, "__args__", ())]
        fields = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)).model_fields
    return frozenset(info.alias or name for name, info in fields.items())


_WORDS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "missing": lambda _: "a value",
    "string_type": lambda _: "text",
    "string_too_short": lambda _: "a value, or no such key",
    "dict_type": lambda _: "a mapping",
    "model_type": lambda _: "a mapping",
    "model_attributes_type": lambda _: "a mapping",
    "mapping_type": lambda _: "a mapping",
    "list_type": lambda _: "a list",
    "tuple_type": lambda _: "a list",
    "too_long": lambda context: f"at most {context.get('max_length')} of them",
    "too_short": lambda context: f"at least {context.get('min_length')} of them",
    "int_parsing": lambda _: "a whole number",
    "int_parsing_size": lambda _: "a smaller number",
    "greater_than_equal": lambda context: f"{context.get('ge')} or more",
    "less_than_equal": lambda context: f"{context.get('le')} or less",
    "literal_error": lambda context: ", ".join(filter(None, re.findall(r"'([^']*)'", str(context.get("expected"))))),
}


def _accepted(detail: ErrorDetails) -> str:
    words = _WORDS.get(detail["type"])
    return words(detail.get("ctx", {})) if words else detail["msg"].removeprefix("Value error, ")
