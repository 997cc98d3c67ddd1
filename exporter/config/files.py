"""
Reads files as text, and says in words why a file cannot be read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from exporter import bounded
from exporter.config.errors import Problems

LARGEST_FILE: Final = 16 * 2**20
"""Bytes. 100,000 rooms with labels and thresholds need half of it. Some steps block all threads: with a file four times
as large, for a quarter of a second."""


def read_bytes(path: Path, largest: int) -> bytes:
    """
    The contents of a file. Blocks for at most 4.5 s.

    Raises:
        ValueError: The file cannot be read, or has more than ``largest`` bytes. The text says why.
    """
    try:
        data = bounded.read_file(path, largest + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ValueError((reason or "no path").lower()) from None
    if len(data) > largest:
        raise ValueError(f"more than {largest:,} bytes, too many to read")
    return data


def read_file(path: Path, problems: Problems, largest: int = LARGEST_FILE) -> bytes | None:
    """The file's bytes. If it cannot be read, adds a problem and returns ``None``."""
    try:
        return read_bytes(path, largest)
    except ValueError as error:
        problems.add_file(str(error), "a readable file")
        return None


def decode(data: bytes, problems: Problems) -> str | None:
    """The bytes as text without a byte order mark. If they are not UTF-8, adds a problem and returns ``None``."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.add_line(line, f"the byte 0x{data[error.start]:02x}, which is not UTF-8", "UTF-8 text")
        return None
