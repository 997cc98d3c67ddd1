r"""
The door for text that comes from outside: paths, room ids, names, whatever a vendor or a client sent.

Such text may hold anything that Python's ``str`` can: half a character (a file name that is no UTF-8 arrives as a lone
surrogate), an escape sequence that clears a terminal, a line break that begins a forged line. Behind the door it can be
encoded, and what is shown to people is one line that shows what it holds.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 16_000
"""Characters of a value that are shown; the rest is only counted."""

# Control characters but for line break and tab, what reorders the characters around it, and halves of characters.
_UNSHOWABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def encodable(text: str) -> str:
    r"""The text with its halves of characters as ``\udcff``: bytes and labels can be made of it."""
    if text.isascii():
        return text
    return text.encode("utf-8", errors="backslashreplace").decode()


def printable(text: str) -> str:
    r"""
    A name, such as that of a file, as one line of text that can be seen and encoded.

    What cannot be stands there as ``\n`` or ``\u202e``; a byte of a file name that is no UTF-8 as ``\xe9``.
    """
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else _stand_in(char) for char in text])


def showable(text: str, most: int = LONGEST) -> str:
    r"""
    The text as people may see it in a terminal or a log, at most so many characters of it.

    What is not to be printed stands there as ``\x1b`` or ``\u202e``; line breaks and tabs stay.
    """
    if text.isprintable() and len(text) <= most:
        return text
    cut = f"… ({len(text)} characters)" if len(text) > most else ""
    return _UNSHOWABLE.sub(_escaped, text[:most]) + cut


def _stand_in(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is no UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
