"""
Any file format is a pydantic model: text in, problems with their lines out.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from exporter.config.errors import ConfigError, Problems
from exporter.config.validation import fault, validate
from exporter.config.yaml_text import compose

HIDDEN = "a value that is not shown, as it may be a secret"
KEYS = re.compile(r"[A-Za-z-]+", re.ASCII)


def even(number: int) -> int:
    """Refuses the others."""
    if number % 2:
        raise fault("an even number")
    return number


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("", alias="X-Name")
    mode: Literal["", "fast", "slow"] = ""
    sizes: tuple[Annotated[int, AfterValidator(even)], ...] = ()


class File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    inner: Inner
    more: list[Inner] = []
    passwords: dict[str, Annotated[str, Field(min_length=8)]] = {}


def read(text: str) -> File:
    """The file's model."""
    problems = Problems("a.yml", text, {"passwords"}, KEYS)
    compose(text, problems)
    file = validate(File, problems)
    problems.raise_any()
    assert isinstance(file, File)
    return file


def test_texts_become_what_the_model_says():
    """
    Aliases of names, numbers, lists.
    """
    file = read("inner:\n  X-Name: 007\n  sizes: [2, 4]\nmore: [{mode: fast}]\n")

    assert ("007", (2, 4), "fast") == (file.inner.name, file.inner.sizes, file.more[0].mode)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("more: []", "1: inner: found nothing; accepted: a value"),
        ("- a", "1: found a list; accepted: a mapping with inner, more, passwords"),
        ("inner:\n", "1: inner: found nothing; accepted: a mapping with X-Name, mode, sizes"),
        ("inner: {}\nmore: x", "2: more: found text; accepted: a list"),
        ("inner: {}\nmore:\n- {}\n- mode: x", "4: more[1].mode: found 'x'; accepted: fast, slow"),
        ("inner:\n  sizes:\n  - 2\n  - 3", "4: inner.sizes[1]: found '3'; accepted: an even number"),
        ("inner:\n  sizes:\n  - 2\n  - x", "4: inner.sizes[1]: found 'x'; accepted: a whole number"),
        ("inner:\n  sizes: [2, [3]]", "2: inner.sizes[1]: found a list; accepted: a whole number"),
        (
            "inner:\n  mode: fast\n  x-name: a",
            "3: inner.x-name: found an unknown key (did you mean X-Name?); accepted: X-Name, mode, sizes",
        ),
        (
            "inner: {}\nmore:\n- {}\n- modes: slow",
            "4: more[1].modes: found an unknown key (did you mean mode?); accepted: X-Name, mode, sizes",
        ),
        (
            "inner: {}\npasswords:\n  ann: secret",
            f"3: passwords.ann: found {HIDDEN}; accepted: text of 8 or more characters",
        ),
    ],
)
def test_problem(text, told):
    """
    Line and path are those of the file; keys and words are those of the model.
    """
    with pytest.raises(ConfigError) as refused:
        read(text)

    assert f"a.yml:{told}" == str(refused.value)


def test_hash_of_a_password_is_not_shown():
    """
    Wherever it stands.
    """
    with pytest.raises(ConfigError, match="found '<redacted>'"):
        read("inner:\n  mode: $2y$10$abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ01234")
