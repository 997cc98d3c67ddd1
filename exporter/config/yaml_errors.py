"""
Why a text is no YAML, in the words of people who write configs: the line to mend, what is wrong there, what is right.

The two parsers of PyYAML say the same in different words, both name what they were parsing and not what was typed, and
both point at the line where they gave up, which may be the one after the slip. All that is told here is taken from the
text around that place; none of it is quoted, since it may be part of a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import yaml

_LINE_BREAK: Final = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_INDENTATION: Final = "keys of one mapping, and items of one list, indented alike"
_TOO_FAR: Final = "a line indented further than the one above, which has a value already"
_KEY_AND_VALUE: Final = "a key, a colon, a space and a value"
_IN_QUOTES: Final = "such a value in quotes"

Explanation = tuple[int, str, str]
"""The line, what was found there, and what is accepted."""


@dataclass(frozen=True, slots=True)
class _Slip:
    """
    Where a parser gave up.

    Args:
        lines: Of the whole text.
        at: Line and column, counted from 0.
        began: The same of what it was parsing.
    """

    lines: list[str]
    at: tuple[int, int]
    began: tuple[int, int]

    @property
    def line(self) -> int:
        """As editors count."""
        return self.at[0] + 1

    @property
    def text(self) -> str:
        """The line."""
        return self._line(self.at[0])

    @property
    def character(self) -> str:
        """What stands there; nothing at the end of a line."""
        return self.text[self.at[1] : self.at[1] + 1]

    @property
    def opening(self) -> str:
        """The first character of what was being parsed."""
        line, column = self.began
        return self._line(line)[column : column + 1]

    @property
    def begins_its_line(self) -> bool:
        return not self.text[: self.at[1]].strip(" ")

    def line_before(self) -> tuple[int, str]:
        """The nearest line above that says something; where there is none, an empty one."""
        for number in range(self.at[0] - 1, -1, -1):
            line = self._line(number)
            if line.strip() and not line.lstrip().startswith("#"):
                return number + 1, line
        return 1, ""

    def _line(self, number: int) -> str:
        return self.lines[number] if number < len(self.lines) else ""


def explain(error: yaml.MarkedYAMLError, text: str) -> Explanation:
    """What is wrong with this text, which the parser refused with this error."""
    mark, context = error.problem_mark or error.context_mark, error.context_mark or error.problem_mark
    at = (mark.line, mark.column) if mark else (0, 0)
    slip = _Slip(_LINE_BREAK.split(text), at, (context.line, context.column) if context else at)
    words = str(error.problem or error.context)
    if "tab character" in words or slip.character == "\t":
        return slip.line, "a tab", "spaces for indentation"
    for pattern, told in _BY_WORDS:
        if re.search(pattern, words) and (explanation := told(slip)):
            return explanation
    return _in_the_parser_s_words(error, slip)


def _in_the_parser_s_words(error: yaml.MarkedYAMLError, slip: _Slip) -> Explanation:
    words = _unquoted(str(error.problem or error.context).removeprefix("found "))
    if error.context and slip.began[0] < slip.at[0]:
        words += f", {_unquoted(error.context)} that begins in line {slip.began[0] + 1}"
    return slip.line, f"a syntax error ({words})", "YAML"


def _unquoted(words: str) -> str:
    """The parser's words; what it quotes from the file in more than one character may be part of a secret."""
    return _QUOTED.sub(lambda quote: quote[0] if len(quote[0]) <= len("'x'") else "…", words)


def _wrong_beginning(slip: _Slip) -> Explanation:
    return slip.line, f"a value that begins with {slip.character}", _IN_QUOTES


def _wrong_name(slip: _Slip) -> Explanation:
    """An anchor or an alias without a name."""
    return slip.line, f"a value that begins with {slip.opening}", _IN_QUOTES


def _out_of_line(slip: _Slip) -> Explanation | None:
    if slip.character in ("]", "}"):
        return slip.line, f"a {slip.character} that closes nothing", "brackets in pairs; text with brackets in quotes"
    if not slip.begins_its_line:
        return slip.line, "text behind a value that has ended", "the whole value in one pair of quotes"
    if slip.at[1] != slip.began[1] or slip.at[0] == slip.began[0]:
        return _wrong_indentation(slip)
    if slip.character == "-":
        return slip.line, "an item of a list between the keys of a mapping", _INDENTATION
    return slip.line, "a key between the items of a list", _INDENTATION


def _wrong_indentation(slip: _Slip) -> Explanation:
    spaces = slip.at[1]
    if spaces > _indentation(slip.line_before()[1]):
        return slip.line, _TOO_FAR, _INDENTATION
    indented = f"indented by {spaces} space{'s' * (spaces > 1)}" if spaces else "without indentation"
    return slip.line, f"a line {indented}, which fits no line above", _INDENTATION


def _unexpected_colon(slip: _Slip) -> Explanation:
    if re.search(r":\s", slip.text[: slip.at[1]]):
        return slip.line, "a value with a colon and a space in it", _IN_QUOTES
    before, line = slip.line_before()
    if _indentation(slip.text) > _indentation(line):
        return slip.line, _TOO_FAR, _INDENTATION
    return before, "a line without a colon and a space", _KEY_AND_VALUE


def _indentation(line: str) -> int:
    """Where a line's first key or value begins, behind the dashes of lists."""
    match = re.match(r"(?:\s|-(?=\s))*", line)
    return match.end() if match else 0


def _no_colon(slip: _Slip) -> Explanation:
    return slip.began[0] + 1, "a line without a colon and a space", _KEY_AND_VALUE


def _item_behind_a_key(slip: _Slip) -> Explanation:
    return slip.line, "an item of a list behind its key", "[ and ] around the items, or each one in a line of its own"


def _no_value(slip: _Slip) -> Explanation | None:
    if slip.character in ("]", "}"):
        return _out_of_line(slip)
    return (slip.line, "a comma with nothing before it", "a value before each comma") if slip.character == "," else None


def _open_quote(slip: _Slip) -> Explanation:
    return slip.began[0] + 1, "a quote that nothing closes", "quotes in pairs"


def _open_bracket(slip: _Slip) -> Explanation:
    kind, closing = ("list", "]") if slip.opening == "[" else ("mapping", "}")
    where = f"the {kind} that begins in line {slip.began[0] + 1}"
    return slip.line, f"neither a comma nor a {closing} in {where}", f"commas between, and {closing} at the end"


def _escape(slip: _Slip) -> Explanation:
    return slip.line, "a backslash in double quotes that means nothing", "two of them for one; or single quotes"


def _block_header(slip: _Slip) -> Explanation:
    return slip.line, "text behind | or >", "such text in the lines below; a value that begins with | or > in quotes"


_BY_WORDS: Final[tuple[tuple[str, Callable[[_Slip], Explanation | None]], ...]] = (
    ("cannot start any token", _wrong_beginning),
    ("expected alphabetic or numeric character", _wrong_name),
    ("mapping values are not allowed", _unexpected_colon),
    ("sequence entries are not allowed", _item_behind_a_key),
    ("could not find expected ':'", _no_colon),
    ("unexpected end of stream|unexpected document (?:indicator|separator)", _open_quote),
    ("expected ',' or", _open_bracket),
    ("expected (?:the )?node content", _no_value),
    ("unknown escape character", _escape),
    ("expected (?:a )?comment or", _block_header),
    ("<?document start>?|expected key|'-' indicator|<block end>", _out_of_line),
)
