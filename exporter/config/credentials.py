"""
Secrets: written in the config, in the environment, or in a file; never in an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from exporter.config.errors import Problems, describe
from exporter.config.tree import Place, has_control_character
from exporter.vendors.source import Secret, Source

FORMS: Final = ("", "_env", "_file")
LARGEST_SECRET: Final = 65_536
"""Bytes of a secret's file."""

# Somebody will write the secret itself where the name of its variable or file belongs. Such a name is not shown.
_VARIABLE_NAME: Final = re.compile(
    r"[A-Z][A-Z0-9]{0,23}|[A-Za-z][A-Za-z0-9]{0,19}(?:_[A-Za-z0-9]{1,19}){1,8}", re.ASCII
)
_FILE_NAME: Final = re.compile(r"(?:[~.]{0,2}/)?(?:[\w .:@~-]{1,40}/)*[\w .:@~-]{1,40}")
_PATH_MARK: Final = re.compile(r"[~.]{0,2}/|.*\.\w{1,8}$|.*/")


class _UnusableError(Exception):
    """Args: what was found, and what is accepted."""


def key_forms(name: str) -> tuple[str, ...]:
    """The keys under which a secret may be configured."""
    return tuple(name + form for form in FORMS)


def read_secret(
    name: str, place: Place, *, required: bool, folder: Path, env: Mapping[str, str], problems: Problems
) -> Secret | None:
    """
    A source's secret of this name; ``None`` if it has none or if a problem with it is noted.

    Args:
        folder: Of the config file; relative paths begin there.
    """
    forms = key_forms(name)
    given = [key for key in forms if place.key(key).value is not None]
    if not given and not required:
        return None
    if len(given) != 1:
        problems.add(
            place.key(given[-1] if given else name),
            " and ".join(given) or "nothing",
            f"exactly one of {', '.join(forms)}",
        )
        return None
    (key,) = given
    text = place.key(key).value
    try:
        if not isinstance(text, str):
            raise _UnusableError(describe(text), "text")
        if key.endswith("_file"):
            path = folder / text
            return Secret(_usable(_read_file(path, text)), str(path))
        return Secret(_usable(_read_variable(text, env) if key.endswith("_env") else text))
    except _UnusableError as problem:
        problems.add(place.key(key), *problem.args)
        return None


def reread(source: Source, problems: list[str]) -> Source:
    """The source with the secrets of its files as they are now; what is wrong with them is noted."""
    renewed = {}
    for name in source.secret_fields():
        secret = getattr(source, name)
        if secret is None or secret.file is None:
            continue
        try:
            renewed[name] = Secret(_usable(_read_file(Path(secret.file), secret.file)), secret.file)
        except _UnusableError as problem:
            found, accepted = problem.args
            problems.append(f"source {source.name!r}: {name}_file: found {found}; accepted: {accepted}")
    return source.model_copy(update=renewed)


def _read_variable(name: str, env: Mapping[str, str]) -> str:
    if name not in env:
        shown = f"{name!r}, which is not set" if _VARIABLE_NAME.fullmatch(name) else "a variable that is not set"
        raise _UnusableError(shown, "the name of an environment variable that holds the secret")
    return env[name]


def _read_file(path: Path, written: str) -> str:
    shown = repr(written) if _FILE_NAME.fullmatch(written) and _PATH_MARK.match(written) else "a path"
    accepted = "a readable file that holds the secret alone"
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_SECRET + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "no path"
        raise _UnusableError(f"{shown} ({reason.lower()})", accepted) from None
    if len(content) > LARGEST_SECRET:
        raise _UnusableError(f"{shown} of over {LARGEST_SECRET:,} bytes", accepted)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _UnusableError(f"{shown}, which is not UTF-8 text", accepted) from None


def _usable(secret: str) -> str:
    """The secret without its final line break."""
    secret = secret.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise _UnusableError("an empty secret", "the secret")
    if has_control_character(secret):
        raise _UnusableError("a secret with control characters or of several lines", "one line of printable text")
    return secret
