"""
The keys of a source that its API's model knows: text in, a frozen model out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from exporter.config.certificates import read_certificates
from exporter.config.credentials import key_forms, read_secret
from exporter.config.errors import Problems, describe
from exporter.config.secret_looks import oddity
from exporter.config.tree import Place, has_control_character
from exporter.config.urls import read_base_url, read_proxy
from exporter.vendors.source import DURATION_ACCEPTED, Documented, Secret, SecretForm, Source, parse_duration

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

DURATION_BOUNDS: Final = {
    "interval": (0.1, 86_400.0, "from 100ms to 24h"),
    "timeout": (0.1, 60.0, "from 100ms to 1m"),
    "max_staleness": (0.1, 604_800.0, "from 100ms to 168h"),
}
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What a source is read with.

    Args:
        folder: Of the config file; relative paths begin there.
        warnings: Collects what is accepted but looks like a mistake.
    """

    folder: Path
    env: Mapping[str, str]
    problems: Problems
    warnings: list[str]

    def warn(self, place: Place, words: str) -> None:
        self.warnings.append(f"{self.problems.locate(place)}: {words}")


def read_keys(
    model: type[Source], place: Place, around: Surroundings, reported: frozenset[str] = frozenset()
) -> Source | None:
    """
    The source without its rooms; ``None`` if a problem is noted.

    Args:
        reported: Keys whose problems are reported already.
    """
    keys = _Keys(model, place, around, reported)
    keys.read_secrets()
    keys.read_texts()
    return keys.validate()


class _Keys:
    """
    Values on their way from text to the model, and the keys that a noted problem has spoilt.

    A spoilt required key would be reported again as missing, hence the second set.
    """

    def __init__(self, model: type[Source], place: Place, around: Surroundings, reported: frozenset[str]) -> None:
        self._model = model
        self._place = place
        self._around = around
        self._values: dict[str, Any] = {}
        self._spoilt = set(reported)

    def read_secrets(self) -> None:
        problems = self._around.problems
        for name in self._model.secret_fields():
            before = len(problems)
            secret = read_secret(
                name,
                self._place,
                required=self._model.model_fields[name].is_required(),
                folder=self._around.folder,
                env=self._around.env,
                problems=problems,
            )
            if secret:
                self._values[name] = secret
                self._warn_of_looks(name, secret)
            elif len(problems) > before:
                self._spoilt.add(name)

    def _warn_of_looks(self, name: str, secret: Secret) -> None:
        metadata = self._model.model_fields[name].metadata
        form = next((each for each in metadata if isinstance(each, SecretForm)), None)
        if words := oddity(secret.reveal(), form):
            (key,) = [key for key in key_forms(name) if self._place.key(key).value is not None]
            self._around.warn(self._place.key(key), words)

    def read_texts(self) -> None:
        secrets = self._model.secret_fields()
        for name, info in self._model.model_fields.items():
            value = self._place.key(name).value
            if value is not None and name not in secrets and name not in self._spoilt:
                self._values[name] = value
                self._refine(name, _read_text)
                if info.annotation is bool:
                    self._refine(name, _read_boolean)
        for name, (shortest, longest, words) in DURATION_BOUNDS.items():
            self._refine(name, partial(_read_duration, shortest, longest, words))
        self._refine("base_url", lambda url: read_base_url(url, allow_http=self._values.get("allow_http", False)))
        self._refine("proxy", read_proxy)
        self._refine("ca_file", lambda name: read_certificates(self._around.folder / name))

    def _refine(self, name: str, read: Callable[[Any], Any]) -> None:
        """Replace a value by what ``read`` makes of it; its ValueError says what is accepted instead."""
        if name not in self._values:
            return
        try:
            self._values[name] = read(self._values[name])
        except ValueError as error:
            del self._values[name]
            self._spoil(name, str(error))

    def validate(self) -> Source | None:
        try:
            source = self._model.model_validate(self._values)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                self._note(detail)
            return None
        self._warn_of_the_undocumented()
        return None if self._spoilt else source

    def _warn_of_the_undocumented(self) -> None:
        for name, info in self._model.model_fields.items():
            known = next((each.values for each in info.metadata if isinstance(each, Documented)), None)
            value = self._values.get(name)
            if known is not None and value is not None and value not in known:
                shown = self._around.problems.show(value)
                words = f"{shown} is used, but is none that the vendor documents: {', '.join(known)}"
                self._around.warn(self._place.key(name), words)

    def _note(self, detail: ErrorDetails) -> None:
        name = str(detail["loc"][0]) if detail["loc"] else ""
        if not name:
            self._around.problems.add(self._place, "keys that do not go together", _accepted(detail))
        elif name not in self._spoilt:
            self._spoil(name, _accepted(detail))

    def _spoil(self, name: str, accepted: str) -> None:
        self._spoilt.add(name)
        self._around.problems.add(self._place.key(name), self._found(name), accepted)

    def _found(self, name: str) -> str:
        value = self._place.key(name).value
        if not isinstance(value, str):
            return describe(value)
        if name == "proxy" or (name == "base_url" and "@" in value):
            return "a URL that is not shown, as it may hold a password"
        return self._around.problems.show(value)


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("text")
    if has_control_character(value):
        raise ValueError("text without control characters")
    return str(value)  # plain, as not every library takes what only looks like text


def _read_boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise ValueError("true, false")
    return _BOOLEANS[text]


def _read_duration(shortest: float, longest: float, words: str, text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = 0.0
    if not shortest <= seconds <= longest:
        raise ValueError(f"{DURATION_ACCEPTED}, {words}")
    return seconds


def _accepted(detail: ErrorDetails) -> str:
    """What pydantic's error means to somebody who writes the config."""
    context = detail.get("ctx", {})
    words = {
        "missing": "a value",
        "int_parsing": "a whole number",
        "int_parsing_size": "a smaller number",
        "int_from_float": "a whole number",
        "float_parsing": "a number",
        "finite_number": "a finite number",
        "literal_error": str(context.get("expected", "")).replace("'", "").replace(" or ", ", "),
        "greater_than": f"more than {context.get('gt', 0):g}",
        "greater_than_equal": f"{context.get('ge', 0):g} or more",
        "less_than": f"less than {context.get('lt', 0):g}",
        "less_than_equal": f"{context.get('le', 0):g} or less",
        "string_too_short": f"text of {context.get('min_length')} or more characters",
        "string_too_long": f"text of {context.get('max_length')} or fewer characters",
        "string_pattern_mismatch": f"text that matches {context.get('pattern')}",
    }
    return words.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")
