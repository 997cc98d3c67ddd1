"""
Reads a small YAML file and the files that it names: certificates and keys in PEM, passwords.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel

from exporter.config.errors import Problems
from exporter.config.files import read_bytes, read_file
from exporter.config.validation import validate
from exporter.config.values import Map
from exporter.config.yaml_text import read_document
from exporter.web.security.tls import Refused

LARGEST_FILE: Final = 2**20
"""Largest web config, certificate, key or bundle of certificates, in bytes."""

Model = TypeVar("Model", bound=BaseModel)

_KEYS: Final = re.compile(r"http2|[A-Za-z_][A-Za-z_.@-]{0,30}", re.ASCII)
"""Keys that messages may quote: among the keys of these files are names of headers and of users."""


class Files:
    """
    The contents of a file and of the files that it names, and their problems. Blocks.

    Attributes:
        held: Contents by path.
        empty: Whether the file has no document.

    Raises:
        ConfigError: The file cannot be read, or it is not YAML.
    """

    def __init__(self, path: Path, secret_names: Iterable[str]) -> None:
        self.problems = Problems(path)
        data = read_file(path, self.problems, LARGEST_FILE) or b""
        self.problems.raise_any()
        self.problems = read_document(data, path, secret_names, _KEYS)
        self.held = {path: data}
        self.empty = self.problems.root is None
        self._folder = path.absolute().parent

    def written(self, model: type[Model]) -> Model:
        """
        The document, validated.

        Raises:
            ConfigError: Lists every problem.
        """
        if self.empty:
            self.problems.root = Map(1)
        written: Model = validate(model, self.problems)
        self.problems.raise_any()
        return written

    def read(self, section: str, key: str, file: str) -> bytes | None:
        """The contents of a file that is named under this key; ``None`` after adding to the problems."""
        path = self._folder / file
        try:
            self.held[path] = read_bytes(path, LARGEST_FILE)
        except ValueError as error:
            shown = self.problems.show_at((section, key))
            self.problems.add((section, key), f"{shown}: {error}", "a readable file")
            return None
        return self.held[path]

    def read_pem(self, section: str, model: BaseModel, name: str) -> bytes | None:
        """
        The PEM text given under the key ``name``, or in the file named under the key ``name_file``.

        Returns:
            ``None`` if neither key is given, or if the file cannot be read, which is added to the problems.
        """
        inline, file = getattr(model, name), getattr(model, f"{name}_file")
        if inline is not None:
            return str(inline).encode()
        return None if file is None else self.read(section, f"{name}_file", file)

    def refuse(self, section: str, model: BaseModel, refused: Refused) -> None:
        """Add a certificate or a key that cannot be used to the problems."""
        if getattr(model, f"{refused.key}_file") is None:
            self.problems.add((section, refused.key), refused.found, refused.accepted)
        else:
            self.problems.add((section, f"{refused.key}_file"), f"a file with {refused.found}", refused.accepted)
