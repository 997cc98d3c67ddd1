"""
The problems of a file, for people who will correct them: file, line, key path, what was found, what is accepted.

All problems of a file are collected before any is reported. No message contains a secret.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias

from exporter.config.values import List, ManyLines, Map, Value, describe, dismantle
from exporter.errors import UserError
from exporter.model import REDACTED
from exporter.text import printable

REPORTED_PROBLEMS: Final = 20
COLLECTED_PROBLEMS: Final = 1000
SHOWN_LENGTH: Final = 60
Steps: TypeAlias = Sequence[str | int]
"""The path to a value: keys and indexes."""

KEYS: Final = re.compile(r"[A-Za-z_][a-z_]{0,30}", re.ASCII)
"""Keys that may be shown. Another key may be half of a secret that contains a comma."""
_UNREAD: Final = "…"
"""Replaces the text of problems that are only counted, since searching it for secrets takes long."""
_SHORTEST_SECRET: Final = 4
_PIECE: Final = 64 * 1024
_VALUE_AFTER_NAME: Final = re.compile(r"[\s'\":=]{1,1000}+([^\s,'\"\]}]{1,100000}+)")
_SEARCHED: Final = 1000
_MOST_SECRETS: Final = 10_000
"""Most secrets of a file. With more, no value is shown: to search each value for each secret would take minutes."""
_HIDDEN: Final = "a value that is not shown, as it may be a secret"
# Hex and base64 with both letters and digits, bcrypt hashes, and keys in PEM form.
_SECRET_LIKE: Final = re.compile(
    r"(?=[a-z+/=]*[0-9])(?=[0-9+/=]*[a-z])[a-z0-9+/=]{16,}|\$2[a-z]?\$\S*|-----BEGIN(?s:.*)",
    re.ASCII | re.IGNORECASE,
)


class ConfigError(UserError):
    """
    A config cannot be used. One line for each problem, in the order of the file.

    Args:
        problems: At least one. The first twenty are shown, the others are counted.
        uncollected: Number of further problems.
    """

    def __init__(self, problems: Iterable[str], uncollected: int = 0) -> None:
        self.problems = tuple(problems)
        self.count = len(self.problems) + uncollected
        super().__init__(self.problems, uncollected)

    def __str__(self) -> str:
        shown = self.problems[:REPORTED_PROBLEMS]
        rest = self.count - len(shown)
        return "\n".join((*shown, *([f"and {rest} more"] if rest else ())))


class Problems:
    """
    The problems of one file.

    Args:
        file: The path as the operator wrote it.
        text: The file's text, in which secrets are searched before a value is shown.
        secret_names: Keys whose values are secrets, with everything below them.
        keys: Matches keys that may be shown.

    Attributes:
        root: The file's values; ``None`` until they are read.
        left_out: Values of the file that are not part of ``root``, such as the value of a duplicate key.
        admitted: Number of problems that are collected.
    """

    def __init__(
        self, file: Path | str, text: str = "", secret_names: Iterable[str] = (), keys: re.Pattern[str] = KEYS
    ) -> None:
        self.root: Value | None = None
        self.left_out: list[Value] = []
        self._file = printable(str(file))
        self._text = text
        self._secret_names = frozenset(secret_names)
        self._keys = keys
        self._secrets: tuple[str, ...] | None = None
        self._found: list[tuple[int, str]] = []
        self.admitted = 0
        self._uncollected = 0

    def at(self, path: Steps) -> tuple[Value | None, int]:
        """The value at a path and its line. A missing key has the value ``None`` and the line of its mapping."""
        value, line = self.root, 1
        for step in path:
            if isinstance(value, Map):
                line, value = value.line_of(str(step)), value.get(str(step))
            elif isinstance(value, List) and isinstance(step, int):
                line, value = value.lines[step], value[step]
            else:
                return None, line
        return value, line

    def locate(self, path: Steps) -> str:
        line = self.at(path)[1]
        return f"{self._file}:{line}" + (f": {self.dotted(path)}" if path else "")

    def add(self, path: Steps, found: str, accepted: str) -> None:
        """
        Add a problem with a value.

        Args:
            found: In words, or as ``show`` and ``describe`` return it.
        """
        self.add_line(self.at(path)[1], found, accepted, path)

    def add_line(self, line: int, found: str, accepted: str, path: Steps = ()) -> None:
        """Add a problem with a line, whether or not it has become a value."""
        self._note(line, f"{self._file}:{line}" + (f": {self.dotted(path)}" if path else ""), found, accepted)

    def add_file(self, found: str, accepted: str) -> None:
        """Add a problem with the file as a whole."""
        self._note(0, self._file, found, accepted)

    def add_unknown_key(self, path: Steps, known: Iterable[str]) -> None:
        """Add a problem with an unknown key, with the most similar known key. Its value is never shown."""
        *around, key = path
        accepted = ", ".join(sorted(known))
        value, line = self.at(path)
        if self.showable_key(str(key), value):
            nearest = get_close_matches(str(key), known, n=1)
            hint = f" (did you mean {nearest[0]}?)" if nearest else ""
            self.add(path, f"an unknown key{hint}", accepted)
        else:
            self.add_line(line, "an unknown key, not shown here as it may be part of a secret", accepted, around)

    def showable_key(self, key: str, value: object = None) -> str | None:
        """
        The key if an error may show it, otherwise ``None``.

        In ``{server_secret: abc,def}``, half of the secret is a key ``def`` without a value. Such keys are not shown.
        """
        return key if value != "" and not isinstance(key, ManyLines) and self._keys.fullmatch(key) else None

    def dotted(self, path: Steps) -> str:
        """A path in the form of error messages, such as ``sources[0].interval``."""
        steps = (f"[{step}]" if isinstance(step, int) else f".{self.showable_key(step) or '?'}" for step in path)
        return "".join(steps).removeprefix(".")

    def show_at(self, path: Steps, *, name: bool = False) -> str:
        """
        The value at a path in a form that an error may show.

        Args:
            name: Whether the value is a name, which may look like a secret without being one.
        """
        value = self.at(path)[0]
        if not isinstance(value, str) or not value:
            return describe(value) if value != "" else "''"
        if not self._secret_names.isdisjoint(path):
            return _HIDDEN
        return self.show_name(value) if name else self.show(value)

    def admit(self, count: int) -> bool:
        """Whether to collect this many more problems. After a thousand, further problems are only counted."""
        if count and self.admitted >= COLLECTED_PROBLEMS:
            self._uncollected += count
            return False
        self.admitted += count
        return True

    def _note(self, line: int, where: str, found: str, accepted: str) -> None:
        if self.full:
            self._uncollected += 1
        else:
            self._found.append((line, f"{where}: found {found}; accepted: {accepted}"))

    @property
    def full(self) -> bool:
        """Whether more problems are only counted."""
        return len(self._found) >= COLLECTED_PROBLEMS

    def show(self, text: str) -> str:
        """
        The text in a form that an error may show: quoted, escaped, cut at 60 characters, secret-like parts redacted.

        People do swap a secret and an app id, or write a secret under a key that is not secret.
        """
        if self.full:
            return _UNREAD
        return self.show_name(text if isinstance(text, ManyLines) else _SECRET_LIKE.sub(REDACTED, text[:_SEARCHED]))

    def show_name(self, text: str) -> str:
        """The same for names and room ids, which may look like secrets: only the file's own secrets are redacted."""
        if self.full:
            return _UNREAD
        if isinstance(text, ManyLines):
            return "text of several lines"
        text = text[:_SEARCHED]
        secrets = self._known_secrets()
        if len(secrets) > _MOST_SECRETS:
            return _HIDDEN
        for secret in secrets:
            text = text.replace(secret, REDACTED)
        return repr(text if len(text) <= SHOWN_LENGTH else text[:SHOWN_LENGTH] + "…")

    def _known_secrets(self) -> tuple[str, ...]:
        if self._secrets is not None:
            return self._secrets
        # Search the text, since a typo can make a secret part of another value. Also search the parsed values, since an
        # alias can repeat a secret anywhere.
        found: set[str] = set()
        for secret in chain(_secrets_in(self._text, self._secret_names), self._secret_values()):
            if len(secret) >= _SHORTEST_SECRET:
                found.add(secret)
            if len(found) > _MOST_SECRETS:
                break
        secrets = tuple(sorted(found, key=len, reverse=True))
        if self.root is not None:
            self._secrets = secrets
        return secrets

    def _secret_values(self) -> Iterator[str]:
        waiting: list[tuple[Value | None, bool]] = [(self.root if self._secret_names else None, False)]
        seen: set[int] = set()
        while waiting:
            value, secret = waiting.pop()
            if isinstance(value, str):
                yield value
            elif value is not None and (visit := 2 * id(value) + secret) not in seen:
                seen.add(visit)
                items = value.items() if isinstance(value, Map) else ((None, item) for item in value)
                for key, item in items:
                    below = secret or key in self._secret_names
                    if below or not isinstance(item, str):
                        waiting.append((item, below))
        while seen:
            seen.pop()  # freeing a million entries in one step would block other threads

    def drop_values(self) -> None:
        """Free the file's values, one container at a time. Nothing may use them afterwards."""
        dismantle(self.root, *self.left_out)
        self.root = None
        self.left_out.clear()

    def raise_any(self) -> None:
        """
        Raise an error if there are problems.

        Raises:
            ConfigError: With all of them.
        """
        if self._found:
            in_order = sorted(self._found, key=lambda problem: problem[0])
            raise ConfigError([message for _, message in in_order], self._uncollected)


def _secrets_in(text: str, names: Collection[str]) -> Iterator[str]:
    """
    The values that follow these names in a text.

    The text is searched in pieces, and other threads can run between two pieces. A single search through megabytes
    would block them.
    """
    if not names:
        return
    longest_first = sorted(names, key=len, reverse=True)
    name = re.compile("|".join(map(re.escape, longest_first)))
    overlap = len(longest_first[0])
    for start in range(0, len(text), _PIECE):
        for match in name.finditer(text, max(0, start - overlap), start + _PIECE):
            if value := _VALUE_AFTER_NAME.match(text, match.end()):
                yield value[1]
