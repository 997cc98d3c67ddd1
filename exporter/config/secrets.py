"""
Reads secrets and certificates: from the config, the environment or a file. No error contains a secret.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic_core import PydanticCustomError

from exporter.config.files import read_bytes
from exporter.config.validation import fault, words
from exporter.config.values import describe
from exporter.vendors.source import Certificates, Secret, Source, has_control_character

FORMS: Final = ("", "_env", "_file")
LARGEST_SECRET: Final = 65_536
"""Most bytes of a file that holds a secret."""
LARGEST_CA_FILE: Final = 2**20
"""Most bytes. The bundle of a Linux distribution needs a quarter of it."""

# Somebody may write the secret itself instead of the name of its variable or file. Unusual names are not shown.
_VARIABLE_NAME: Final = re.compile(
    r"[A-Z][A-Z0-9]{0,23}|[A-Za-z][A-Za-z0-9]{0,19}(?:_[A-Za-z0-9]{1,19}){1,8}", re.ASCII
)
_FILE_NAME: Final = re.compile(r"(?:[~.]{0,2}/)?(?:[\w .:@~-]{1,40}/)*[\w .:@~-]{1,40}")
_PATH_MARK: Final = re.compile(r"[~.]{0,2}/|.*\.\w{1,8}$|.*/")


class Given(NamedTuple):
    """The keys with which a config gives a secret, and their values. Exactly one is valid."""

    keys: tuple[str, ...]
    values: list[object]


def key_forms(name: str) -> tuple[str, ...]:
    """The keys with which a config may give a secret: ``X``, ``X_env``, ``X_file``."""
    return tuple(name + form for form in FORMS)


def read_secret(name: str, given: Given, *, folder: Path, env: Mapping[str, str]) -> Secret:
    """
    The secret of this name.

    Args:
        folder: Of the config file. Relative paths are relative to it.

    Raises:
        PydanticCustomError: The secret is not given exactly once, or cannot be read.
    """
    key = given.keys[-1] if given.keys else name
    try:
        if len(given.keys) != 1:
            raise fault(f"exactly one of {', '.join(key_forms(name))}", " and ".join(given.keys) or "nothing")
        (text,) = given.values
        if not isinstance(text, str):
            raise fault("text", describe(text))
        if key.endswith("_file"):
            return Secret(_usable(_read_file(folder / text, text)), str(folder / text))
        return Secret(_usable(_read_variable(text, env) if key.endswith("_env") else text))
    except PydanticCustomError as error:
        raise fault(*words(error), key=key) from None


def read_certificates(path: Path) -> Certificates:
    """
    The certificates in a file. Blocks.

    Raises:
        PydanticCustomError: The file cannot be read, or has no valid certificates in PEM form.
    """
    try:
        content = read_bytes(path, LARGEST_CA_FILE)
    except ValueError as error:
        raise fault("a readable file of certificates in PEM form", f"{{}} ({error})") from None
    # PEM is ASCII. The comments around it, such as the names of authorities, may not be.
    pem = content.decode("ascii", errors="ignore")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        raise fault("a file of certificates in PEM form") from None
    return Certificates(pem, str(path))


def renewed(secret: Secret) -> Secret:
    """
    The secret as its file has it now; one without a file stays as it is. Blocks.

    Raises:
        PydanticCustomError: The file does not hold what it should.
    """
    return secret if secret.file is None else Secret(_usable(_read_file(Path(secret.file), secret.file)), secret.file)


def reread(source: Source, problems: list[str]) -> Source:
    """The source with the present contents of its secrets' and certificates' files. Adds problems with them."""
    given = {name: getattr(source, name) for name in (*source.secret_fields(), "ca_file")}
    renewed: dict[str, Any] = {}
    for name, file in {name: value.file for name, value in given.items() if value and value.file}.items():
        key, path = name if name == "ca_file" else f"{name}_file", Path(file)
        try:
            renewed[name] = read_certificates(path) if key == name else Secret(_usable(_read_file(path, file)), file)
        except PydanticCustomError as error:
            accepted, found = words(error)
            shown = found.replace("{}", repr(file))
            problems.append(f"source {source.name!r}: {key}: found {shown}; accepted: {accepted}")
    return source.model_copy(update=renewed)


def _read_variable(name: str, env: Mapping[str, str]) -> str:
    if name not in env:
        shown = f"{name!r}, which is not set" if _VARIABLE_NAME.fullmatch(name) else "a variable that is not set"
        raise fault("the name of an environment variable that holds the secret", shown)
    return env[name]


def _read_file(path: Path, written: str) -> str:
    shown = repr(written) if _FILE_NAME.fullmatch(written) and _PATH_MARK.match(written) else "a path"
    accepted = "a readable file that holds the secret alone"
    try:
        return read_bytes(path, LARGEST_SECRET).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise fault(accepted, f"{shown}, which is not UTF-8 text") from None
    except ValueError as error:
        raise fault(accepted, f"{shown} ({error})") from None


def _usable(secret: str) -> str:
    """The secret without its final line break."""
    secret = secret.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise fault("the secret", "an empty secret")
    if has_control_character(secret):
        raise fault("one line of printable text", "a secret with control characters or of several lines")
    return secret
