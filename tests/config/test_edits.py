"""
Whatever an editor's slip makes of a good config, it is a config or a list of problems with their lines.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import ConfigError, parse
from tests.config.configs import ENV, FOLDER

EDITIONS = [300, pytest.param(20_000, marks=pytest.mark.soak)]
GOOD = sorted(FOLDER.glob("*.good.yml"))
SECRETS = ("0123456789abcdef", "fedcba9876543210", "d3d2d1d0c3c2c1c0", ENV["ZEGO_SERVER_SECRET"])
# What people type by mistake, and what YAML gives a meaning.
SLIPS = [
    *"[]{}:,-#&*!|>'\"%@`?<= \n\t",
    "\x00",
    "大",
    "\u2028",
    ": ",
    "- ",
    "\n    ",
    "<<: ",
    "&a ",
    "*a",
    "yes",
    "10",
    "10s",
    "'",
]
KEYS = re.compile(rb"[a-z_]+(?=:)")


@st.composite
def edits(draw: st.DrawFn, good: bytes) -> bytes:
    """The file after a few slips: something typed, cut, doubled or swapped; a key put in another one's place."""
    for _ in range(draw(st.integers(1, 4))):
        at, length = draw(st.integers(0, len(good))), draw(st.integers(0, 12))
        lines = good.splitlines(keepends=True) or [b""]
        line, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        match draw(st.integers(0, 6)):
            case 0:
                good = good[:at] + draw(st.sampled_from(SLIPS)).encode() + good[at:]
            case 1:
                good = good[:at] + good[at + length :]
            case 2:
                good = good[:at] + draw(st.binary(max_size=3)) + good[at + length :]
            case 3:
                good = b"".join([*lines[:line], *lines[line + 1 :]])
            case 4:
                good = b"".join([*lines[:line], lines[other], *lines[line:]])
            case 5:
                lines[line] = b" " * draw(st.integers(0, 8)) + lines[line].lstrip()
                good = b"".join(lines)
            case _:
                keys = [match.span() for match in KEYS.finditer(good)] or [(0, 0)]
                start, end = draw(st.sampled_from(keys))
                good = good[:start] + draw(st.sampled_from(keys_of_design)) + good[end:]
    return good


keys_of_design = sorted(set(KEYS.findall((FOLDER / "design.good.yml").read_bytes())))


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.name)
@pytest.mark.parametrize("examples", EDITIONS)
def test_edited_config_is_a_config_or_a_list_of_problems(file, examples):
    """
    Never another exception, never a problem without its line, never a secret among the words.
    """
    good = file.read_bytes()
    path = FOLDER / "exporter.yml"
    message = re.compile(re.escape(str(path)) + r":[1-9]\d*: [^\n]*; accepted: [^\n]+")

    @settings(max_examples=examples, deadline=None)
    @given(edits(good))
    def holds(text: bytes) -> None:
        try:
            told = "\n".join(parse(text, path, ENV).warnings)
        except ConfigError as error:
            told = str(error)
            assert all(message.fullmatch(problem) for problem in error.problems)  # noqa: PT017
        assert not [leak for leak in windows() if leak in told]

    holds()


def windows(size: int = 16) -> list[str]:
    """Every run of sixteen characters of a secret."""
    return [secret[at : at + size] for secret in SECRETS for at in range(len(secret) - size + 1)]
