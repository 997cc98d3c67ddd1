"""
A small YAML file and the files that it names: certificates and keys in PEM, passwords.
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
"""Bytes of a web config, a certificate, a key or a bundle of certificates."""

Model = TypeVar("Model", bound=BaseModel)

_KEYS: Final = re.compile(r"http2|[A-Za-z_][A-Za-z_.@-]{0,30}", re.ASCII)
"""Keys that problems may name: these files have names of headers and of users among them."""


class Files:
    """
    The problems of a file, and what it and the files that it names held when they were read. Blocks.

    Attributes:
        held: By path.
        empty: Whether the file has no document.

    Raises:
        ConfigError: The file cannot be read, or is no YAML.
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
        What the file says.

        Raises:
            ConfigError: Every problem with it.
        """
        if self.empty:
            self.problems.root = Map(1)
        written: Model = validate(model, self.problems)
        self.problems.raise_any()
        return written

    def read(self, section: str, key: str, file: str) -> bytes | None:
        """What the file named here holds; ``None`` if it cannot be read, and then that is noted."""
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
        What a section gives under ``name``, or in the file that it names under ``name_file``.

        Returns:
            ``None`` if it is given neither way, or cannot be read, and then that is noted.
        """
        inline, file = getattr(model, name), getattr(model, f"{name}_file")
        if inline is not None:
            return str(inline).encode()
        return None if file is None else self.read(section, f"{name}_file", file)

    def refuse(self, section: str, model: BaseModel, refused: Refused) -> None:
        """Note that a certificate or a key cannot be used."""
        if getattr(model, f"{refused.key}_file") is None:
            self.problems.add((section, refused.key), refused.found, refused.accepted)
        else:
            self.problems.add((section, f"{refused.key}_file"), f"a file with {refused.found}", refused.accepted)
