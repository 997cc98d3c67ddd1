"""
Files that are no text at all, or not there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter import bounded
from exporter.config import ConfigError, load
from exporter.config.files import LARGEST_FILE
from tests.config.configs import ENV, KEYS


def refusal(path: Path) -> str:
    """What ``load`` says of this path."""
    with pytest.raises(ConfigError) as refused:
        load(path, ENV)
    return str(refused.value)


def test_missing_file(tmp_path):
    """
    A path that leads nowhere is told in one line.
    """
    path = tmp_path / "absent.yml"

    assert f"{path}: found no such file or directory; accepted: a readable file" == refusal(path)


def test_folder(tmp_path):
    """
    So is a folder.
    """
    assert f"{tmp_path}: found is a directory; accepted: a readable file" == refusal(tmp_path)


def test_file_without_permission(tmp_path, monkeypatch):
    """
    And a file that may not be read.
    """
    path = tmp_path / "exporter.yml"

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(bounded, "_read", denied)

    assert f"{path}: found permission denied; accepted: a readable file" == refusal(path)


def test_path_with_a_null_byte(tmp_path):
    """
    And a path that no file can have.
    """
    path = tmp_path / "a\0b"

    assert f"{tmp_path}/a\\x00b: found no path; accepted: a readable file" == refusal(path)


def test_too_large_file(tmp_path):
    """
    A file without end, a device perhaps, is not read to its end.
    """
    path = tmp_path / "exporter.yml"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)

    words = "found more than 16,777,216 bytes, too many to read; accepted: a readable file"
    assert f"{path}: {words}" == refusal(path)


def test_byte_order_mark_is_no_part_of_the_text(tmp_path):
    """
    Some editors begin UTF-8 files with a byte order mark.
    """
    path = tmp_path / "exporter.yml"
    keys = KEYS["zego_rtc"].replace("\n", ", ")
    path.write_bytes(f"\ufeffsources: [{{name: live, api: zego_rtc, {keys}}}]".encode())

    assert ["live"] == [source.name for source in load(path, ENV).sources]
