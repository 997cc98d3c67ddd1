"""
Reads a YAML file into frozen, validated models, or reports every problem of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from exporter.config import resolve, secrets
from exporter.config.discovery_schema import SECRET_KEYS
from exporter.config.errors import ConfigError, Problems
from exporter.config.files import read_file
from exporter.config.garbage import collection_paused
from exporter.config.models import Config, SourceConfig
from exporter.config.rooms import RESERVED_LABELS, Context
from exporter.config.schema import Document, NamelessEntry
from exporter.config.validation import schema, validate
from exporter.config.values import List, Map
from exporter.config.yaml_text import read_document
from exporter.vendors import APIS

__all__ = ["RESERVED_LABELS", "Config", "ConfigError", "SourceConfig", "json_schema", "load", "parse", "reread_files"]

_SECRET_NAMES: Final = SECRET_KEYS.union(*(codec.source_model.secret_fields() for codec in APIS.values()))


def load(path: Path, env: Mapping[str, str]) -> Config:
    """
    Read a config file. Blocks: call it in a thread if an event loop runs.

    Args:
        env: The environment, for secrets.

    Raises:
        ConfigError: With every problem of the file.
    """
    problems = Problems(path)
    data = read_file(path, problems)
    problems.raise_any()
    return parse(data or b"", path, env)


def parse(text: str | bytes, path: Path, env: Mapping[str, str]) -> Config:
    """
    Read the text of a config file.

    Args:
        path: The file's path, for errors. Relative paths in the text are relative to its folder.
        env: The environment, for secrets.

    Raises:
        ConfigError: With every problem of the text.
    """
    with collection_paused():
        problems = read_document(text, path, _SECRET_NAMES)
        context = Context(problems, path.absolute().parent, env)
        try:
            document: Document | None = validate(Document, problems, context)
            _read_nameless(problems, context)
            resolve.check_names(problems)
            problems.raise_any()
            sources = resolve.complete(document.sources if document else (), problems)
            callbacks = resolve.listener(document.callbacks if document else None, sources, problems)
            problems.raise_any()
            warnings = resolve.warnings(sources, context.room_warnings, callbacks, problems)
            cluster = document.cluster.complete() if document and document.cluster else None
            return Config(path, sources, tuple(warnings), callbacks, cluster)
        finally:
            problems.drop_values()


def _read_nameless(problems: Problems, context: Context) -> None:
    """Find the other problems of sources whose ``api`` is missing or unknown."""
    sources = problems.at(["sources"])[0]
    for index, source in enumerate(sources if isinstance(sources, List) else ()):
        if problems.full:
            break
        if isinstance(source, Map) and source.get("api") not in [*APIS]:
            validate(NamelessEntry, problems, context, ["sources", index])


def json_schema() -> dict[str, object]:
    """The JSON Schema of a config, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema(Document)}


def reread_files(config: SourceConfig) -> SourceConfig:
    """
    The source with the present contents of its ``*_file`` secrets and its ``ca_file``. Blocks.

    Raises:
        ConfigError: A file cannot be read, or its contents are not valid.
    """
    problems: list[str] = []
    source = secrets.reread(config.source, problems)
    if problems:
        raise ConfigError(problems)
    return replace(config, source=source)
