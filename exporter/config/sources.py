"""
One source of the config, whole: its API's keys, its rooms, and whether they make sense together.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Final

from exporter.config.credentials import key_forms
from exporter.config.errors import describe
from exporter.config.keys import Surroundings, read_keys
from exporter.config.models import SourceConfig
from exporter.config.room_list import Defaults, RoomIds, about_labels, read_own, read_rooms
from exporter.config.tree import List, Map, Place, has_control_character
from exporter.model import NO_THRESHOLDS, Room
from exporter.vendors import APIS
from exporter.vendors.codec import Codec
from exporter.vendors.source import Source

ROOM_KEYS: Final = ("labels", "rooms", "rooms_files", "thresholds")
ROOMS_FILE_SUFFIXES: Final = (".yml", ".yaml", ".json", ".txt")
_PATTERN_ACCEPTED: Final = "a path that ends in .yml, .yaml, .json or .txt; wildcards (* ? [) in its last part alone"
_WILDCARD: Final = re.compile(r"[*?\[]")


def source_keys(model: type[Source]) -> frozenset[str]:
    """Every key that a source of this model may have."""
    secrets = set(model.secret_fields())
    forms = [form for name in model.model_fields for form in (key_forms(name) if name in secrets else (name,))]
    return frozenset((*forms, *ROOM_KEYS))


def read_source(place: Place, around: Surroundings) -> SourceConfig | None:
    """
    The source, with its API's documented rate limit unless it states another; ``None`` if a problem is noted.
    """
    problems = around.problems
    before = len(problems)
    if not isinstance(place.value, Map):
        problems.add(place, describe(place.value), "a mapping with name, api, rooms and the API's own keys")
        return None
    codec = _read_api(place.key("api"), around)
    if codec:
        problems.add_unknown_keys(place, source_keys(codec.source_model))
        source = read_keys(codec.source_model, place, around)
    else:
        source = read_keys(Source, place, around, reported=frozenset({"api"}))
    defaults = read_own(place, NO_THRESHOLDS, problems)
    rooms = _read_rooms(place.key("rooms"), codec, defaults, around) if "rooms" in place.value else ()
    rooms_files = _read_rooms_files(place.key("rooms_files"), around) if "rooms_files" in place.value else ()
    if source is None or codec is None or len(problems) > before:
        return None
    config = _complete(codec, source, rooms, rooms_files, defaults)
    _check_staleness(config, place, around)
    _check_rate_limit(config, place, around)
    if not rooms and not rooms_files:
        around.warn(place, "watches nothing, as it has neither rooms nor rooms_files")
    return config


def _read_api(place: Place, around: Surroundings) -> Codec | None:
    api = place.value
    if isinstance(api, str) and api in APIS:
        return APIS[api]
    around.problems.add(place, around.problems.show(api) if isinstance(api, str) else describe(api), ", ".join(APIS))
    return None


def _read_rooms(place: Place, codec: Codec | None, defaults: Defaults, around: Surroundings) -> tuple[Room, ...]:
    ids = RoomIds(codec.room_ids if codec else None, around.problems)
    rooms = read_rooms(place, ids, defaults, around.problems)
    for warning in (ids.warning(), about_labels(room.labels for room in rooms)):
        if warning:
            around.warn(place, warning)
    return rooms


def _read_rooms_files(place: Place, around: Surroundings) -> tuple[str, ...]:
    if not isinstance(place.value, List):
        around.problems.add(place, describe(place.value), "a list of paths, such as [rooms/*.yml]")
        return ()
    patterns: dict[str, None] = {}
    for item in place.items():
        text = item.value
        if isinstance(text, str) and _is_pattern(text):
            patterns[str(around.folder / text)] = None
        else:
            found = around.problems.show(text) if isinstance(text, str) else describe(text)
            around.problems.add(item, found, _PATTERN_ACCEPTED)
    return tuple(patterns)


def _is_pattern(text: str) -> bool:
    path = PurePath(text)
    return (
        not has_control_character(text)
        and path.suffix in ROOMS_FILE_SUFFIXES
        and not _WILDCARD.search(str(path.parent))
    )


def _complete(
    codec: Codec, source: Source, rooms: tuple[Room, ...], rooms_files: tuple[str, ...], defaults: Defaults
) -> SourceConfig:
    return SourceConfig(
        name=source.name,
        api=codec.api,
        vendor=codec.vendor,
        codec=codec,
        source=source,
        interval=source.interval or codec.default_interval,
        rate_limit=source.rate_limit or codec.default_limit(source),
        budget=source.budget or codec.budget_key(source),
        timeout=source.timeout,
        max_staleness=source.max_staleness,
        rooms=rooms,
        rooms_files=rooms_files,
        defaults=defaults,
    )


def _check_staleness(config: SourceConfig, place: Place, around: Surroundings) -> None:
    """A reading must outlive one poll that fails, or the room would blink with every hiccup."""
    least = 1.5 * config.interval + config.timeout
    if config.max_staleness is not None and config.max_staleness < least:
        around.problems.add(
            place.key("max_staleness"),
            around.problems.show(str(place.key("max_staleness").value)),
            f"1.5 × interval + timeout or more, here {least:g}s",
        )


def _check_rate_limit(config: SourceConfig, place: Place, around: Surroundings) -> None:
    documented = config.codec.default_limit(config.source)
    if config.rate_limit > documented:
        around.warn(
            place.key("rate_limit"),
            f"{config.rate_limit:g} calls per second are more than the {documented:g} that {config.vendor} documents",
        )
