"""
From a YAML file to frozen, validated models, or to every problem that the file has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from exporter.config import certificates, credentials
from exporter.config.budgets import agree
from exporter.config.errors import ConfigError, Problems, describe
from exporter.config.files import decode, read_file
from exporter.config.garbage import collection_paused
from exporter.config.keys import Surroundings
from exporter.config.models import Config, SourceConfig
from exporter.config.room_list import RESERVED_LABELS
from exporter.config.sources import read_source
from exporter.config.tree import List, Map, Place, Value, dismantle
from exporter.config.yaml_text import compose
from exporter.vendors import APIS

__all__ = ["RESERVED_LABELS", "Config", "ConfigError", "SourceConfig", "load", "parse", "reread_files"]

_SECRET_NAMES: Final = frozenset(name for codec in APIS.values() for name in codec.source_model.secret_fields())

_SOURCES_AS_ITEMS: Final = "a list: - name: live for each source, and its other keys below name"


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
    if isinstance(text, bytes):
        problems = Problems(path)
        decoded = decode(text, problems)
        problems.raise_any()
        text = decoded or ""
    problems = Problems(path, text, _SECRET_NAMES)
    around = Surroundings(path.absolute().parent, env, problems, [])
    with collection_paused():
        root = compose(text, problems)
        sources = _read_root(root, around)
        dismantle(root)
    problems.raise_any()
    return Config(path, sources, tuple(around.warnings))


def reread_files(config: SourceConfig) -> SourceConfig:
    """
    The source with its ``*_file`` secrets and its ``ca_file`` as the files hold them now. Blocks.

    Raises:
        ConfigError: A file cannot be read, or does not hold what it should.
    """
    problems: list[str] = []
    source = certificates.reread(credentials.reread(config.source, problems), problems)
    if problems:
        raise ConfigError(problems)
    return replace(config, source=source)


def _read_root(root: Value | None, around: Surroundings) -> tuple[SourceConfig, ...]:
    problems = around.problems
    top = Place(root)
    if not isinstance(root, Map):
        problems.add(top, describe(root), "a mapping with sources")
        return ()
    problems.add_unknown_keys(top, frozenset({"sources"}))
    here = top.key("sources")
    if not isinstance(here.value, List) or not here.value:
        accepted = _SOURCES_AS_ITEMS if isinstance(here.value, Map) else "a list of sources"
        problems.add(here, "an empty list" if here.value == [] else describe(here.value), accepted)
        return ()
    drafts = [(config, place) for place in here.items() if (config := read_source(place, around))]
    _check_names(here, problems)
    return agree(drafts, problems)


def _check_names(sources: Place, problems: Problems) -> None:
    first: dict[str, Place] = {}
    for source in sources.items():
        place = source.key("name")
        name = place.value
        if not isinstance(name, str) or not name:
            continue
        if name in first:
            found = f"{problems.show_name(name)} again, first in line {first[name].line}"
            problems.add(place, found, "a name that no other source has")
        else:
            first[name] = place
