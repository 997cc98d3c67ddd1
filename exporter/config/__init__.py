"""
From a YAML file to frozen, validated models, or to every problem that the file has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from exporter.config import resolve, secrets
from exporter.config.errors import ConfigError, Problems
from exporter.config.files import read_file
from exporter.config.garbage import collection_paused
from exporter.config.models import Config, SourceConfig
from exporter.config.rooms import RESERVED_LABELS, Context
from exporter.config.schema import Document, NamelessEntry
from exporter.config.validation import schema, validate
from exporter.config.values import List, Map, dismantle
from exporter.config.yaml_text import read_document
from exporter.vendors import APIS

__all__ = ["RESERVED_LABELS", "Config", "ConfigError", "SourceConfig", "json_schema", "load", "parse", "reread_files"]

_SECRET_NAMES: Final = frozenset(name for codec in APIS.values() for name in codec.source_model.secret_fields())


def load(path: Path, env: Mapping[str, str]) -> Config:
    """
    The config of a file. Blocks, so it is for a thread when a loop runs.

    Args:
        env: The environment, for secrets.

    Raises:
        ConfigError: Every problem of the file.
    """
    problems = Problems(path)
    data = read_file(path, problems)
    problems.raise_any()
    return parse(data or b"", path, env)


def parse(text: str | bytes, path: Path, env: Mapping[str, str]) -> Config:
    """
    The config in a file's text.

    Args:
        path: Of the file, for errors; relative paths in the text begin in its folder.
        env: The environment, for secrets.

    Raises:
        ConfigError: Every problem of the text.
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
            problems.raise_any()
            return Config(path, sources, tuple(resolve.warnings(sources, context.noted, problems)))
        finally:
            dismantle(problems.root)


def _read_nameless(problems: Problems, context: Context) -> None:
    """A source without a known API has more problems than that, perhaps."""
    sources = problems.at(["sources"])[0]
    for index, source in enumerate(sources if isinstance(sources, List) else ()):
        if isinstance(source, Map) and source.get("api") not in [*APIS]:
            validate(NamelessEntry, problems, context, ["sources", index])


def json_schema() -> dict[str, object]:
    """The JSON Schema of a config, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema(Document)}


def reread_files(config: SourceConfig) -> SourceConfig:
    """
    The source with its ``*_file`` secrets and its ``ca_file`` as the files hold them now. Blocks.

    Raises:
        ConfigError: A file cannot be read, or does not hold what it should.
    """
    problems: list[str] = []
    source = secrets.reread(config.source, problems)
    if problems:
        raise ConfigError(problems)
    return replace(config, source=source)
