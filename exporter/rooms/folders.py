"""
Finds the files that the patterns of ``rooms_files`` match, and notices whether they have changed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeAlias

from exporter.config.schema import WILDCARD
from exporter.text import printable

Signature: TypeAlias = tuple[int, ...]
"""Device, inode, times and size of a file. It changes when the file is written, in place or by a new file."""


@dataclass(frozen=True, slots=True)
class Look:
    """
    The state of the matched files at one moment.

    Args:
        files: Signatures by path, in alphabetical order.
        failed: Why a file or a folder cannot be read, by the file's path or the folder's pattern.
    """

    files: dict[str, Signature] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def look(patterns: Iterable[str]) -> Look:
    """
    Look at every file that one of these absolute patterns matches. Blocks.

    Only the last part of a pattern may have wildcards, which do not match a leading dot. A path that does not exist is
    not a failure.
    """
    result = Look()
    for pattern in patterns:
        try:
            paths = list(_paths(pattern))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            result.failed[pattern] = f"{printable(pattern)}: {_reason(error)}"
            continue
        for path in paths:
            try:
                result.files[path] = signature(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                result.failed[path] = f"{printable(path)}: {_reason(error)}"
    return Look(dict(sorted(result.files.items())), result.failed)


def matches(path: str, pattern: str) -> bool:
    """Whether a pattern matches a path."""
    folder, name = os.path.split(pattern)
    found_folder, found_name = os.path.split(path)
    return folder == found_folder and _name_matches(found_name, name)


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A function that says whether any of these patterns matches a path. Patterns without wildcards cost nothing."""
    plain: set[str] = set()
    wild: list[str] = []
    for pattern in patterns:
        if WILDCARD.search(os.path.split(pattern)[1]):
            wild.append(pattern)
        else:
            plain.add(pattern)
    return lambda path: path in plain or any(matches(path, pattern) for pattern in wild)


def signature(path: str) -> Signature:
    """
    The signature of a file now.

    Raises:
        OSError: There is no such regular file, or it cannot be reached.
    """
    found = Path(path).stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(0, "not a file")
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _paths(pattern: str) -> Iterator[str]:
    folder, name = os.path.split(pattern)
    if not WILDCARD.search(name):
        yield pattern
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if _name_matches(entry.name, name):
                yield str(Path(folder, entry.name))


def _name_matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) and (pattern.startswith(".") or not name.startswith("."))


def _reason(error: OSError) -> str:
    return (error.strerror or "cannot be read").lower()
