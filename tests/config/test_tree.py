"""
What a file holds, and how much work is put into what nobody will read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exporter.config import ConfigError, errors, parse, validation
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


@pytest.mark.parametrize(
    "lines",
    [
        "sources:\n" + "-\n" * 3 * COLLECTED_PROBLEMS,
        "sources:\n" + text("rooms_files:\n" + "  - a\n" * 3 * COLLECTED_PROBLEMS),
        "sources:\n" + text("rooms:\n" + "  - {id: a, x: 1}\n" * 3 * COLLECTED_PROBLEMS),
    ],
    ids=["sources", "rooms_files", "rooms"],
)
def test_a_million_mistakes_are_not_collected(lines: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Pydantic reports all errors in one step, which blocks other threads. So it gets a thousand errors, and the others
    are only counted.
    """
    noted = 0
    note = validation._note

    def counted(*args: Any) -> None:
        nonlocal noted
        noted += 1
        note(*args)

    monkeypatch.setattr(validation, "_note", counted)

    with pytest.raises(ConfigError) as refused:
        parse(lines, Path("exporter.yml"), ENV)

    assert 3 * COLLECTED_PROBLEMS <= refused.value.count
    assert COLLECTED_PROBLEMS <= noted < 1.1 * COLLECTED_PROBLEMS


@pytest.mark.parametrize("shift", range(0, 24, 3))
def test_secrets_are_looked_for_in_pieces(shift: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Wherever a piece of the text ends, a secret that a typo made part of a room's name is redacted.
    """
    monkeypatch.setattr(errors, "_PIECE", 24)
    lines = f"{' ' * shift}# server_secret: abracadabra\nsources:\n" + text('rooms: ["x abracadabra y\\x01"]')

    with pytest.raises(ConfigError) as refused:
        parse(lines, Path("exporter.yml"), ENV)

    assert "abracadabra" not in str(refused.value)


def test_values_beside_ten_thousand_secrets_are_not_shown() -> None:
    """
    To search each value for each secret would take minutes, so no value is shown.
    """
    many = "".join(f"# server_secret: secret{number:05}\n" for number in range(10_001))

    with pytest.raises(ConfigError) as refused:
        parse(f"{many}sources:\n" + text("interval: soon"), Path("exporter.yml"), ENV)

    assert "soon" not in str(refused.value)
    assert "interval: found a value that is not shown" in str(refused.value)
