r"""
Cleans text from outside: paths, room ids, names, and everything that a vendor or a client sends.

Such text may hold anything that a Python ``str`` can hold: half of a surrogate pair (a file name that is not UTF-8
becomes one), an escape sequence that clears a terminal, a line break that begins a forged log line. After these
functions, the text can be encoded, and people see on one line what it contains.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 16_000
"""Characters of a value that are shown. The rest is only counted."""

# Control characters except line break and tab, bidirectional controls, and halves of surrogate pairs.
_UNSHOWABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def encodable(text: str) -> str:
    r"""The text with halves of surrogate pairs escaped as ``\udcff``, so that it can be encoded as UTF-8."""
    if text.isascii():
        return text
    return text.encode("utf-8", errors="backslashreplace").decode()


def printable(text: str) -> str:
    r"""
    A name, such as a file name, as one line of printable text.

    Other characters are escaped as ``\n`` or ``\u202e``, and bytes of a file name that are not UTF-8 as ``\xe9``.
    """
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else _stand_in(char) for char in text])


def showable(text: str, most: int = LONGEST) -> str:
    r"""
    The text for a terminal or a log, cut after ``most`` characters.

    Characters that must not be printed are escaped as ``\x1b`` or ``\u202e``. Line breaks and tabs stay.
    """
    if text.isprintable() and len(text) <= most:
        return text
    cut = f"… ({len(text)} characters)" if len(text) > most else ""
    return _UNSHOWABLE.sub(_escaped, text[:most]) + cut


def _stand_in(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
