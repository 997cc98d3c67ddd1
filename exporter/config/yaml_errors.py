"""
Explains YAML syntax errors in the words of people who write configs: the line, what is wrong there, what is accepted.

PyYAML's two parsers describe the same error in different words. Both name what they were parsing and not what was
typed, and both point at the line where they stopped, which may be the line after the mistake. So the explanation is
found from the text around that place. It quotes none of that text, since it may be part of a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

import yaml

Explanation: TypeAlias = tuple[int, str, str]
"""The line, what was found there, and what is accepted."""

_LINE_BREAK: Final = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_PIECE: Final = 64 * 1024
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_INDENTATION: Final = "keys of one mapping, and items of one list, indented alike"
_TOO_FAR: Final = "a line indented further than the one above, which has a value already"
_NO_COLON: Final = "a line without a colon and a space"
_KEY_AND_VALUE: Final = "a key, a colon, a space and a value"
_IN_QUOTES: Final = "such a value in quotes"
_CLOSES_NOTHING: Final = "brackets in pairs; text with brackets in quotes"

# The parser's words; whether the mistake is in the line where the parsed value began; what was found; what is accepted.
_BY_WORDS: Final = (
    ("cannot start any token", False, "a value that begins with {character}", _IN_QUOTES),
    ("expected alphabetic or numeric character", False, "a value that begins with {opening}", _IN_QUOTES),
    (
        "sequence entries are not allowed",
        False,
        "an item of a list behind its key",
        "[ and ] around the items, or each one in a line of its own",
    ),
    ("could not find expected ':'", True, _NO_COLON, _KEY_AND_VALUE),
    (
        "unexpected end of stream|unexpected document (?:indicator|separator)",
        True,
        "a quote that nothing closes",
        "quotes in pairs",
    ),
    (
        "expected ',' or",
        False,
        "neither a comma nor a {closing} in the {kind} that begins in line {began}",
        "commas between, and {closing} at the end",
    ),
    (
        "unknown escape character",
        False,
        "a backslash in double quotes that means nothing",
        "two of them for one; or single quotes",
    ),
    (
        "expected (?:a )?comment or",
        False,
        "text behind | or >",
        "such text in the lines below; a value that begins with | or > in quotes",
    ),
)


class _Lines(NamedTuple):
    """
    The lines around an error. A line after the end of the text is empty.

    Args:
        at: The line where the parser stopped.
        began: The line where the value began that it was parsing.
        before: The nearest line above ``at`` that is not blank or a comment, with its number; if none, an empty line 1.
    """

    at: str
    began: str
    before: tuple[int, str]


def explain(error: yaml.MarkedYAMLError, text: str) -> Explanation:
    """Explain the error with which a parser refused this text."""
    mark = error.problem_mark or error.context_mark
    context = error.context_mark or mark
    at = (mark.line, mark.column) if mark else (0, 0)
    began = (context.line, context.column) if context else at
    lines = _lines_around(text, at[0], began[0])
    line, number, character = lines.at, at[0] + 1, lines.at[at[1] : at[1] + 1]
    opening = lines.began[began[1] : began[1] + 1]
    words = str(error.problem or error.context)
    if "tab character" in words or character == "\t":
        return number, "a tab", "spaces for indentation"
    kind, closing = ("list", "]") if opening == "[" else ("mapping", "}")
    for pattern, at_beginning, found, accepted in _BY_WORDS:
        if re.search(pattern, words):
            values = {
                "character": character,
                "opening": opening,
                "kind": kind,
                "closing": closing,
                "began": began[0] + 1,
            }
            return began[0] + 1 if at_beginning else number, found.format(**values), accepted.format(**values)
    if "mapping values are not allowed" in words:
        return _unexpected_colon(lines, at)
    out_of_line = re.search("<?document start>?|expected key|'-' indicator|<block end>", words)
    no_value = re.search("expected (?:the )?node content", words)
    if (out_of_line or no_value) and character in ("]", "}"):
        return number, f"a {character} that closes nothing", _CLOSES_NOTHING
    if no_value and character == ",":
        return number, "a comma with nothing before it", "a value before each comma"
    if not out_of_line:
        return _parser_message(error, number, began[0] + 1)
    if line[: at[1]].strip(" "):
        return number, "text behind a value that has ended", "the whole value in one pair of quotes"
    if at[1] != began[1] or at[0] == began[0]:
        return _wrong_indentation(lines, at)
    where = (
        "an item of a list between the keys of a mapping" if character == "-" else "a key between the items of a list"
    )
    return number, where, _INDENTATION


def _lines_around(text: str, at: int, began: int) -> _Lines:
    found = {at: "", began: ""}
    before = 1, ""
    for index, line in enumerate(islice(_lines(text), max(at, began) + 1)):
        if index in found:
            found[index] = line
        if index < at and line.split("#")[0].strip():
            before = index + 1, line
    return _Lines(found[at], found[began], before)


def _lines(text: str) -> Iterator[str]:
    """The lines of a text. It is searched in pieces, and other threads can run between two pieces."""
    begin, start = 0, 0
    while start < len(text):
        end = start + _PIECE
        end += text[end - 1 : end + 1] == "\r\n"
        for line_break in _LINE_BREAK.finditer(text, start, end):
            yield text[begin : line_break.start()]
            begin = line_break.end()
        start = end
    yield text[begin:]


def _parser_message(error: yaml.MarkedYAMLError, line: int, began: int) -> Explanation:
    """The parser's own words. A quotation of more than one character may be part of a secret, so it is removed."""
    problem = str(error.problem or error.context).removeprefix("found ")
    words = f"{problem}, {error.context} that begins in line {began}" if error.context and began < line else problem
    shown = _QUOTED.sub(lambda quote: quote[0] if len(quote[0]) <= len("'x'") else "…", words)
    return line, f"a syntax error ({shown})", "YAML"


def _wrong_indentation(lines: _Lines, at: tuple[int, int]) -> Explanation:
    spaces = at[1]
    if spaces > _indentation(lines.before[1]):
        return at[0] + 1, _TOO_FAR, _INDENTATION
    indented = f"indented by {spaces} space{'s' * (spaces > 1)}" if spaces else "without indentation"
    return at[0] + 1, f"a line {indented}, which fits no line above", _INDENTATION


def _unexpected_colon(lines: _Lines, at: tuple[int, int]) -> Explanation:
    line = lines.at
    if re.search(r":\s", line[: at[1]]):
        return at[0] + 1, "a value with a colon and a space in it", _IN_QUOTES
    number, before = lines.before
    if _indentation(line) > _indentation(before):
        return at[0] + 1, _TOO_FAR, _INDENTATION
    return number, _NO_COLON, _KEY_AND_VALUE


def _indentation(line: str) -> int:
    """The column of a line's first key or value, after the dashes of lists."""
    match = re.match(r"(?:\s|-(?=\s))*", line)
    return match.end() if match else 0
