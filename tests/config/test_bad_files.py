"""
Every file in ``testdata/config`` that ends in ``.bad.yml`` is refused in the words that ``messages.yml`` has for it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from exporter.config import ConfigError, load
from tests.config.configs import ENV, FOLDER

MESSAGES: dict[str, str] = yaml.safe_load((FOLDER / "messages.yml").read_text(encoding="utf-8"))


def test_every_bad_file_has_its_message():
    """
    No file lacks its message, and no message its file.
    """
    assert sorted(MESSAGES) == sorted(file.name for file in FOLDER.glob("*.bad.yml"))


@pytest.mark.parametrize("name", MESSAGES)
def test_bad_file_is_refused_with_its_message(name, monkeypatch):
    """
    The message tells every problem of the file: line, key path, what was found, what is accepted.
    """
    monkeypatch.chdir(FOLDER)

    with pytest.raises(ConfigError) as refused:
        load(Path(name), ENV)

    assert MESSAGES[name] == str(refused.value)


@pytest.mark.parametrize("name", MESSAGES)
def test_no_message_shows_a_secret(name):
    """
    All secrets of these files are hex digits in ascending or descending order; eight of them would be a leak.
    """
    ascending, descending = "0123456789abcdef" * 2, "fedcba9876543210" * 2

    leaks = [
        run[at : at + 8] for run in (ascending, descending) for at in range(16) if run[at : at + 8] in MESSAGES[name]
    ]

    assert leaks == []
