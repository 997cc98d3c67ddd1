"""
What a file holds, and how much work is put into what nobody will read.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config import ConfigError, parse
from exporter.config.errors import COLLECTED_PROBLEMS, Problems
from exporter.config.values import Map
from tests.config.configs import ENV, text


@pytest.mark.parametrize("size", [1, 5, 2_000])
def test_mapping(size: int) -> None:
    """
    Values and lines are found by their keys.
    """
    keys = [f"key-{number}" for number in range(size)]
    mapping = Map(10)
    for number, key in enumerate(keys):
        mapping.put(key, key.upper(), 10 + number)

    assert {key: key.upper() for key in keys} == mapping
    assert [*range(10, 10 + size)] == [mapping.line_of(key) for key in keys]
    assert 10 == mapping.line_of("absent")


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
