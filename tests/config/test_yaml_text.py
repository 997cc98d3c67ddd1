"""
YAML as plain text with lines, whichever of PyYAML's two parsers reads it.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.config.errors import ConfigError, Problems
from exporter.config.values import List, Map, Value, dismantle
from exporter.config.yaml_text import MOST_KEYS, compose

LOADERS = [pytest.param(yaml.CBaseLoader, id="libyaml"), pytest.param(yaml.BaseLoader, id="Python")]
ALIASES = "aliases of finished values; text that begins with * in quotes"
SPACES = "spaces for indentation"
ALIKE = "keys of one mapping, and items of one list, indented alike"
KEY_AND_VALUE = "a key, a colon, a space and a value"
EDITIONS = [200, pytest.param(20_000, marks=pytest.mark.soak)]


def plain(value: Value | None) -> Any:
    """The value as lists and dicts."""
    if isinstance(value, Map):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, List) else value


def read(text: str, loader: Any) -> Any:
    """The text's value, of which there are no problems."""
    problems = Problems("a.yml", text)
    value = plain(compose(text, problems, loader))
    problems.raise_any()
    return value


def refusal(text: str, loader: Any) -> str:
    """Why the text has none."""
    with pytest.raises(ConfigError) as refused:
        read(text, loader)
    return str(refused.value)


@pytest.mark.parametrize("loader", LOADERS)
def test_scalars_are_text(loader):
    """
    Plain, quoted and block scalars all are; an empty one is the empty text.
    """
    assert {"a": "012", "b": "yes", "c": "", "d": "x\ny\n", "e": "~"} == read(
        "a: 012\nb: 'yes'\nc:\nd: |\n  x\n  y\ne: !!str ~\n", loader
    )


@pytest.mark.parametrize("loader", LOADERS)
def test_nothing_in_a_file(loader):
    """
    A file of comments holds no value, and an empty document the empty text.
    """
    assert read("# nothing\n", loader) is None
    assert "" == read("---\n", loader)


@pytest.mark.parametrize("loader", LOADERS)
def test_lines_of_keys_and_items(loader):
    """
    A value stands where its key or its item begins, a missing key where the mapping does.
    """
    problems = Problems("a.yml")
    compose("# first\na:\n  - b\n  -\n    c: 1\n    d:\n      e\n  - {f: 1,\n     g: 2}\n", problems, loader)

    paths: list[list[str | int]] = [["a"], ["a", 0], ["a", 1, "c"], ["a", 1, "d"], ["a", 1, "missing"]]
    assert [2, 3, 5, 6, 5] == [problems.at(path)[1] for path in paths]
    assert ["a.yml:8: a[2].f", "a.yml:9: a[2].g"] == [problems.locate(["a", 2, key]) for key in "fg"]


@pytest.mark.parametrize("loader", LOADERS)
def test_aliases_share_what_they_name(loader):
    """
    An alias is the value itself, not a copy; an anchor may be given anew.
    """
    value = compose("a: &x [1]\nb: *x\nc: &x [2]\nd: *x\n", Problems("a.yml"), loader)

    assert isinstance(value, Map)
    assert value.get("a") is value.get("b")
    assert value.get("c") is value.get("d")


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("- &a {x: 1, y: 2}\n- {<<: *a, y: 3}\n", {"x": "1", "y": "3"}),
        ("- &a {x: 1, y: 2}\n- {y: 3, <<: *a}\n", {"x": "1", "y": "3"}),
        ("- &a {x: 1}\n- {<<: [{x: 5, z: 4}, *a]}\n", {"x": "5", "z": "4"}),
        ("- &a {x: 1}\n- {'<<': 2}\n", {"<<": "2"}),
        ("- {x: 0, '<<': 1}\n- {x: 1, <<: {y: 2}}\n", {"x": "1", "y": "2"}),
        ("- {x: 1}\n- [{<<: {x: 1}, x: 2}, {<<: {x: 1}, x: 3}]\n", [{"x": "2"}, {"x": "3"}]),
    ],
)
def test_merge_keys(loader, text, value):
    """
    A mapping's own keys win over merged ones, and the first merged mapping over the next. A quoted ``<<`` is a key.
    """
    assert value == read(text, loader)[1]


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "a.yml:3: found a again, first in line 1; accepted: each key once"),
        (
            "a:\n- {b: {c: 1, c: 2}}\n",
            "a.yml:2: a[0].b: found c again, first in line 2; accepted: each key once",
        ),
        (
            "a: !!int 5\n",
            "a.yml:1: a: found a YAML tag; accepted: values without tags; text that begins with ! in quotes",
        ),
        ("a: @b\n", "a.yml:1: found a value that begins with @; accepted: such a value in quotes"),
        ("# 大厅\na: `b\n", "a.yml:2: found a value that begins with `; accepted: such a value in quotes"),
        ("# 大厅\n# 大厅\na: \x00\n", "a.yml:3: found the character U+0000; accepted: printable text"),
        ("a: 1\n--- \nb: 2\n", "a.yml:2: found a second document; accepted: one document a file"),
        (
            "[a, *b]\n",
            f"a.yml:1: found an alias of nothing above; accepted: {ALIASES}",
        ),
        ("{[a]: b}\n", "a.yml:1: found a list as a key; accepted: text"),
        ("<<: b\n", "a.yml:1: found << with text; accepted: << with an alias of a mapping"),
    ],
)
def test_what_yaml_allows_and_a_config_does_not(loader, text, message):
    """
    Both parsers come to the same words.
    """
    assert message == refusal(text, loader)


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("text", "line", "found", "accepted"),
    [
        ("a:\n\t- b\n", 2, "a tab", SPACES),
        ("a: b\n\tc: d\n", 2, "a tab", SPACES),
        ("a:\n  - b: c\n  \td: e\n", 3, "a tab", SPACES),
        ("a: b\n\t# c\n", 2, "a tab", SPACES),
        ("- a: |\n\tb\n", 2, "a tab", SPACES),
        ("a:\r\n-\tb: c\r\n", 2, "a tab", SPACES),
        ("- a: b\n    c: d\n", 2, "a line indented further than the one above, which has a value already", ALIKE),
        ("a: b\n\n# c\n  d: e\n", 4, "a line indented further than the one above, which has a value already", ALIKE),
        ("a:\n  - b: c\n   d: e\n", 3, "a line indented by 3 spaces, which fits no line above", ALIKE),
        ("a:\n  - b\n - c\n", 3, "a line indented by 1 space, which fits no line above", ALIKE),
        ("  a: b\nc: d\n", 2, "a line without indentation, which fits no line above", ALIKE),
        ("a: b\n- c\n", 2, "an item of a list between the keys of a mapping", ALIKE),
        ("- a\nb: c\n", 2, "a key between the items of a list", ALIKE),
        ("a: b: c\n", 1, "a value with a colon and a space in it", "such a value in quotes"),
        ("a:b\nc: d\n", 1, "a line without a colon and a space", KEY_AND_VALUE),
        ("a: b\n\nc d\n# e\nf: g\n", 3, "a line without a colon and a space", KEY_AND_VALUE),
        (
            "a: - b\n",
            1,
            "an item of a list behind its key",
            "[ and ] around the items, or each one in a line of its own",
        ),
        ("a: b\nc: 'd\ne: f\n", 2, "a quote that nothing closes", "quotes in pairs"),
        ("a: 'b\n---\n", 1, "a quote that nothing closes", "quotes in pairs"),
        ("a: 'b' c\n", 1, "text behind a value that has ended", "the whole value in one pair of quotes"),
        (
            "a:\n [b\nc: d\n",
            3,
            "neither a comma nor a ] in the list that begins in line 2",
            "commas between, and ] at the end",
        ),
        (
            "{a: 'b' c: d}",
            1,
            "neither a comma nor a } in the mapping that begins in line 1",
            "commas between, and } at the end",
        ),
        ("a: ]\n", 1, "a ] that closes nothing", "brackets in pairs; text with brackets in quotes"),
        ("a: b\n}\n", 2, "a } that closes nothing", "brackets in pairs; text with brackets in quotes"),
        ("a: [b, , c]\n", 1, "a comma with nothing before it", "a value before each comma"),
        ("a: *\n", 1, "a value that begins with *", "such a value in quotes"),
        ("a: %b\n", 1, "a value that begins with %", "such a value in quotes"),
        ('a: "\\d"\n', 1, "a backslash in double quotes that means nothing", "two of them for one; or single quotes"),
    ],
)
def test_slips_of_the_hand(loader, text, line, found, accepted):
    """
    The line to mend is told, and what is wrong in it, in the same words whichever parser gave up there.
    """
    assert f"a.yml:{line}: found {found}; accepted: {accepted}" == refusal(text, loader)


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    "text",
    [
        "a: *0123456789abcdef",
        "a: !0123456789abcdef b",
        "a: !01234567!89abcdef b",
        '"\\U89abcdef"',
        "a: '0123456789abcdef",
        "a: [0123456789abcdef",
        "a: {0123456789abcdef: [}",
        "a: 01234567: 89abcdef",
        "{a: 1, a: 01234567, 89abcdef, 89abcdef}",
    ],
)
def test_syntax_errors_show_nothing_of_the_file(loader, text):
    """
    A secret without its quotes can be an alias, a tag or half a key; none of them is repeated in the message.
    """
    message = refusal(text, loader)

    assert "01234567" not in message
    assert "89abcdef" not in message


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("opening", ["[", "{", "[{a: ", "- ", "? "])
def test_deep_nesting_is_refused_early(loader, opening):
    """
    A hundred thousand brackets are no reason to recurse. The words are ours, also where libyaml has a limit of its own.
    """
    text = f"# rooms\na: 1\nb:\n {opening * 100_000}"

    assert "a.yml:4: found values nested more than 50 deep; accepted: fewer levels" == refusal(text, loader)


@pytest.mark.parametrize("loader", LOADERS)
def test_aliases_of_aliases_do_not_explode(loader):
    """
    Nine lines that stand for a billion values are refused when they reach five million, and none is copied.
    """
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{name}: &{name} [{', '.join(['*' + before] * 10)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]

    assert refusal("\n".join(lines), loader).startswith("a.yml:7: found over 5,000,000 values")


@pytest.mark.parametrize("loader", LOADERS)
def test_mapping_of_too_many_keys(loader):
    """
    A mapping of more than 5,000 keys is refused: Pydantic would block all other threads while it validates them.
    """
    lines = "\n" + "\n".join(f"k{number}: [1]" for number in range(MOST_KEYS + 1))

    assert "a.yml:2: found a mapping of over 5,000 keys; accepted: fewer keys" == refusal(lines, loader)


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    "text", ["a: 1\na: &x [[1]]", "? &x [[1]]\n: 1", "<<: &x [[1]]", "a: &x [[1]]\nb: ]", "a: {b: &x [[1]], c: *y}"]
)
def test_values_that_are_in_no_document_are_freed_in_steps(loader, text):
    """
    A value that a mistake keeps out of the document may be large, and is freed one container at a time, too.
    """
    freed: list[Value] = []

    class Watched(Problems):
        def drop_values(self) -> None:
            freed.extend(self.left_out)
            super().drop_values()

    problems = Watched("a.yml")
    try:
        compose(text, problems, loader)
        problems.drop_values()
    except ConfigError:
        assert problems.root is None

    assert freed
    assert not any(value for value in freed if not isinstance(value, str))


def test_dismantled_trees_hold_nothing():
    """
    Freed container by container, also where aliases share them.
    """
    root = compose("a: &a [[1], {b: [2]}]\nc: *a\n", Problems("a.yml"))
    assert isinstance(root, Map)
    inner = root.get("a")

    dismantle(root)

    assert [] == inner


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("examples", EDITIONS)
def test_any_text_is_a_value_or_a_message_with_a_line(loader, examples):
    """
    Whatever is made of YAML's own characters.
    """
    pieces = st.sampled_from(
        [
            *"[]{},:-?&*!|>'\"%@`#~<=\n \tab\x00\ufeff大",
            "\n  ",
            "- ",
            ": ",
            "<<: ",
            "&a ",
            "*a ",
            "---\n",
            "!!str ",
            "\\U",
        ]
    )

    @settings(max_examples=examples, deadline=None)
    @given(st.lists(pieces, max_size=60).map("".join))
    @example('"\\UFFFFFFFF"')
    @example('"\\ud800"')
    def holds(text: str) -> None:
        problems = Problems("a.yml", text)
        try:
            compose(text, problems, loader)
            problems.raise_any()
        except ConfigError as error:
            assert all(message.startswith("a.yml:") and message[6].isdigit() for message in error.problems)  # noqa: PT017

    holds()
