"""
What is done to every key or room of a file costs as much for the last one as for the first.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config import ConfigError, parse
from exporter.config.errors import COLLECTED_PROBLEMS, Problems
from exporter.config.tree import Map, Place
from tests.config.configs import ENV, text


class CountedKey(str):
    """A key that counts how often it is compared."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedKey.compared += 1
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        return str.__hash__(self)


@pytest.mark.parametrize("size", [1, 5, 32, 33, 2_000])
def test_mapping(size: int) -> None:
    """
    Values and lines are found by their keys, in small mappings and in large ones.
    """
    keys = tuple(f"key-{number}" for number in range(size))
    mapping = Map(keys, tuple(key.upper() for key in keys), 7, range(10, 10 + size))

    assert keys == mapping.keys()
    assert [(key, key.upper()) for key in keys] == list(mapping.items())
    assert [(key.upper(), 10 + number) for number, key in enumerate(keys)] == [
        (mapping.get(key), mapping.line_of(key)) for key in keys
    ]
    assert (None, 7, False) == (mapping.get("absent"), mapping.line_of("absent"), "absent" in mapping)


def test_place_of_every_key_of_a_large_mapping() -> None:
    """
    To look up each of n keys takes some n comparisons, and not n times n.
    """
    keys = tuple(CountedKey(f"key-{number}") for number in range(2_000))
    place = Place(Map(keys, keys, 1, range(2_000)))
    CountedKey.compared = 0

    lines = [place.key(CountedKey(f"key-{number}")).line for number in range(2_000)]

    assert list(range(2_000)) == lines
    assert 20 * 2_000 >= CountedKey.compared


def test_secrets_are_not_looked_for_in_what_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A thousand problems are collected; the values of the others are not even searched for the secrets of the file.
    """
    searches = 0
    known_secrets = Problems._known_secrets

    def counted(problems: Problems) -> tuple[str, ...]:
        nonlocal searches
        searches += 1
        return known_secrets(problems)

    monkeypatch.setattr(Problems, "_known_secrets", counted)
    rooms = "".join(f"  - '{'x' * 200}{number}'\n" for number in range(3 * COLLECTED_PROBLEMS))

    with pytest.raises(ConfigError) as refused:
        parse("sources:\n" + text(f"rooms:\n{rooms}"), Path("exporter.yml"), ENV)

    assert 3 * COLLECTED_PROBLEMS == refused.value.count
    assert COLLECTED_PROBLEMS == searches
