r"""
The door for text from outside: behind it everything can be encoded, and nothing moves a cursor.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.text import LONGEST, encodable, printable, showable

ANY_TEXT = st.text(alphabet=st.characters(codec=None, exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("lobby", "lobby"),
        ("房间 é\u3000", "房间 é\u3000"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("b\udcff.txt", r"b\udcff.txt"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("\x9b2J\x00\r", r"\x9b2J\x00\x0d"),
        ("txt\u202eexe\u2028", r"txt\u202eexe\u2028"),
        ("a" * LONGEST, "a" * LONGEST),
        ("a" * 20_000, "a" * LONGEST + "… (20000 characters)"),
    ],
)
def test_text_is_shown_with_escapes(text, shown):
    """
    What cannot be printed, or would do something, stands there in writing; text without end has one.
    """
    assert shown == showable(text)


@given(ANY_TEXT)
def test_whatever_it_is_it_can_be_encoded(text):
    """
    And what could be encoded before is as it was.
    """
    assert encodable(text).encode() or not text
    assert showable(text).encode() or not text
    try:
        text.encode()
    except UnicodeEncodeError:
        assert r"\ud" in encodable(text)
    else:
        assert text == encodable(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rooms/live.yml", "rooms/live.yml"),
        ("直播 é.txt", "直播 é.txt"),
        (os.fsdecode(b"caf\xe9.yml"), r"caf\xe9.yml"),
        ("a\nb\x1b[31m\0", r"a\nb\x1b[31m\x00"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\ud83d", r"\ud83d"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_names_are_one_line(text, shown):
    """
    What can be seen stays as it is; bytes that are not UTF-8 are told as bytes.
    """
    assert shown == printable(text)


@given(st.binary().map(os.fsdecode) | st.text(st.characters(codec=None)))
def test_every_name_can_be_shown(text):
    """
    Whatever a file is called, the result is one printable line that UTF-8 can encode, and itself printable as it is.
    """
    shown = printable(text)

    assert shown.isprintable()
    assert shown == shown.encode().decode()
    assert shown == printable(shown)
