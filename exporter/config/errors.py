"""
What is wrong with a file, for people who will mend it: file, line, key path, what was found, what is accepted.

Every problem of a file is collected before any is reported, and no secret is ever among the words.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from exporter.config.tree import List, ManyLines, Map, Place, Value, speakable
from exporter.errors import UserError
from exporter.model import REDACTED

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

REPORTED_PROBLEMS: Final = 20
COLLECTED_PROBLEMS: Final = 1000
SHOWN_LENGTH: Final = 60
_UNREAD: Final = "…"
"""Stands for a text in a problem that is only counted. To look for secrets in it would take longest of all."""
_SHORTEST_SECRET: Final = 4
_SEARCHED: Final = 1000
# Hex and base64 with letters and digits in it.
_SECRET_LIKE: Final = re.compile(r"(?=[a-z+/=]*[0-9])(?=[0-9+/=]*[a-z])[a-z0-9+/=]{16,}", re.ASCII | re.IGNORECASE)


class ConfigError(UserError):
    """
    A config that cannot be used; one line for each problem, in the order of the file.

    Args:
        problems: At least one; the first twenty are shown, the others counted.
        uncollected: Problems that are only counted.
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
        file: As the operator wrote it.
        text: The file's text, searched for secrets before any value is shown.
        secret_names: Keys whose values are secrets.
    """

    def __init__(self, file: Path | str, text: str = "", secret_names: Iterable[str] = ()) -> None:
        self._file = str(file)
        self._text = text
        self._secret_names = tuple(secret_names)
        self._secrets: tuple[str, ...] | None = None
        self._found: list[tuple[int, str]] = []
        self._uncollected = 0

    def __len__(self) -> int:
        return len(self._found) + self._uncollected

    @property
    def full(self) -> bool:
        """Whether further problems are only counted, since their words would never be read."""
        return len(self._found) >= COLLECTED_PROBLEMS

    def add(self, place: Place, found: str, accepted: str) -> None:
        """
        Note a problem with a value.

        Args:
            found: In words, or as ``show`` and ``describe`` give it.
        """
        if self.full:
            self._uncollected += 1
        else:
            self._note(place.line, self.locate(place), found, accepted)

    def add_line(self, line: int, found: str, accepted: str, path: str = "") -> None:
        """Note a problem with a line that does not get as far as being a value of the document."""
        self._note(line, f"{self._file}:{line}" + (f": {path}" if path else ""), found, accepted)

    def add_file(self, found: str, accepted: str) -> None:
        """Note a problem with the file as a whole."""
        self._note(0, self._file, found, accepted)

    def add_unknown_keys(self, place: Place, known: frozenset[str]) -> None:
        """Note keys that nobody reads, each with the nearest one that somebody does. Their values are never shown."""
        mapping = place.value
        if not isinstance(mapping, Map) or known.issuperset(mapping.keys()):
            return
        accepted = ", ".join(sorted(known))
        for key, value in mapping.items():
            if key in known:
                continue
            if self.full:
                self._uncollected += 1
            elif speakable(key, value):
                nearest = get_close_matches(key, known, n=1)
                hint = f" (did you mean {nearest[0]}?)" if nearest else ""
                self.add(place.key(key), f"an unknown key{hint}", accepted)
            else:
                found = "an unknown key, not shown here as it may be part of a secret"
                self.add_line(mapping.line_of(key), found, accepted, place.path)

    def _note(self, line: int, where: str, found: str, accepted: str) -> None:
        if self.full:
            self._uncollected += 1
        else:
            self._found.append((line, f"{where}: found {found}; accepted: {accepted}"))

    def locate(self, place: Place) -> str:
        return f"{self._file}:{place.line}" + (f": {place.path}" if place.path else "")

    def show(self, text: str) -> str:
        """
        The text as an error may print it: quoted, escaped, cut at 60 characters, and without anything like a secret.

        Secret and app id do get swapped, or a secret ends up under a key that is not secret.
        """
        if self.full:
            return _UNREAD
        return self.show_name(text if isinstance(text, ManyLines) else _SECRET_LIKE.sub(REDACTED, text[:_SEARCHED]))

    def show_name(self, text: str) -> str:
        """The same for names and room ids, which may look like secrets: only the file's secrets are taken out."""
        if self.full:
            return _UNREAD
        if isinstance(text, ManyLines):
            return "text of several lines"
        text = text[:_SEARCHED]
        for secret in self._known_secrets():
            text = text.replace(secret, REDACTED)
        return repr(text if len(text) <= SHOWN_LENGTH else text[:SHOWN_LENGTH] + "…")

    def _known_secrets(self) -> tuple[str, ...]:
        # Searched in the text and not in what it was parsed into: a typo can make a secret part of another value.
        if self._secrets is None:
            names = "|".join(map(re.escape, self._secret_names))
            found = re.findall(rf"(?:{names})[\s'\":=]+([^\s,'\"\]}}]+)", self._text) if names else []
            long_enough = {secret for secret in found if len(secret) >= _SHORTEST_SECRET}
            self._secrets = tuple(sorted(long_enough, key=len, reverse=True))
        return self._secrets

    def raise_any(self) -> None:
        """
        Raises:
            ConfigError: There are problems.
        """
        if self._found:
            in_order = sorted(self._found, key=lambda problem: problem[0])
            raise ConfigError([message for _, message in in_order], self._uncollected)


def describe(value: Value | None) -> str:
    """What kind of value stands where another kind is wanted, without its contents."""
    if not value and not isinstance(value, List | Map):
        return "nothing"
    return "text" if isinstance(value, str) else "a list" if isinstance(value, List) else "a mapping"
