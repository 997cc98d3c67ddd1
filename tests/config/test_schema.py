"""
The JSON Schema that editors check a config with says what the exporter says, as far as a schema can tell.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from exporter.cli import app
from exporter.config import ConfigError, json_schema
from exporter.config.errors import Problems
from exporter.config.yaml_text import compose
from tests.config.configs import FOLDER, KEYS, text
from tests.deploy.project import ROOT
from tests.docs.pages import PAGES

SCHEMA_FILE = ROOT / "deploy/exporter.schema.json"
EXAMPLES = [path for path in (ROOT / "deploy").rglob("*.yml") if re.search(r"(?m)^sources:", path.read_text("utf-8"))]
BEYOND_A_SCHEMA = {
    *("base-url-http", "base-url-port", "base-url-user", "budget-disagreement", "budget-without-limit"),
    *("identifier-empty", "interval-too-long", "interval-too-short", "interval-zero", "timeout-too-long"),
    *("name-control-character", "room-control-character", "room-long", "room-long-in-bytes"),
    *(
        "cadence-of-janus",
        "cadence-shorter-than-interval",
        "max-staleness-too-short",
        "name-twice",
        "room-twice",
        "threshold-order",
        "threshold-order-after-merging",
    ),
    *("ca-file-missing", "ca-file-no-certificate", "secret-empty", "secret-env-empty", "secret-env-is-the-secret"),
    *("secret-env-unset", "secret-file-empty", "secret-file-folder", "secret-file-is-the-secret"),
    *("secret-file-missing", "secret-file-two-lines", "cluster-go-together", "cluster-url-form"),
    *("discovery-auth-twice", "discovery-callbacks-without-listener", "discovery-callbacks-of-janus"),
    *("discovery-list-of-janus", "discovery-list-of-zim"),
    *("discovery-path-token-short", "discovery-url"),
}
"""Files whose mistake is between values, in another file or in the environment, or a matter of size."""


class Yaml12(yaml.SafeLoader):
    """What an editor makes of YAML: numbers, booleans and null as YAML 1.2 has them, all else is text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 as PyYAML wants it


for tag, pattern, first in (
    ("null", r"null|Null|NULL|~|", "nN~"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("merge", "<<", "<"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), [*first, ""])
Yaml12.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))
Yaml12.add_constructor("tag:yaml.org,2002:float", lambda _, node: float(node.value))


def mistakes(document: str) -> list[str]:
    """
    Where the schema finds fault with this text.
    """
    loaded = yaml.load(document, Yaml12)  # noqa: S506 a safe loader
    return [error.json_path for error in Draft202012Validator(json_schema()).iter_errors(loaded)]


def is_yaml(name: str) -> bool:
    """
    Whether a file can be read at all.
    """
    try:
        problems = Problems(name)
        compose((FOLDER / name).read_text("utf-8"), problems)
        problems.raise_any()
    except (ConfigError, UnicodeDecodeError):
        return False
    return True


def test_it_is_a_schema():
    """
    Of the draft that it says it is of.
    """
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", [*FOLDER.glob("*.good.yml"), *EXAMPLES], ids=lambda path: path.name)
def test_good_config(path):
    """
    No editor underlines anything in a config that is good, nor in those that people copy. But for null: we read it as
    text, and yet it is a mistake most likely.
    """
    assert [] == mistakes(path.read_text("utf-8").replace("access_key_id: null", "access_key_id: nil"))


@pytest.mark.docs
def test_configs_of_the_documents():
    """
    Nor in what the documents show.
    """
    blocks = [block.text for page in PAGES.values() for block in page.blocks("yaml")]
    shown = [block for block in blocks if block.startswith("sources:")]

    assert shown
    assert [] == [mistake for config in shown for mistake in mistakes(config)]


@pytest.mark.parametrize("api", KEYS)
def test_every_api(api):
    """
    Each API's keys, with its secret in any of the three forms.
    """
    name = json.loads(json.dumps({line.split(":")[0]: None for line in KEYS[api].splitlines()}))
    secret = next(key for key in name if "secret" in key)
    inline = "sources:\n" + text(api=api)

    assert [] == mistakes(inline)
    assert [] == mistakes(inline.replace(f"{secret}:", f"{secret}_env:"))
    assert [] == mistakes(inline.replace(f"{secret}:", f"{secret}_file:"))
    assert ["$.sources[0]"] == mistakes(inline.replace(f"    {secret}:", f"    {secret}_env: KEY\n    {secret}:"))


def test_bad_configs():
    """
    An editor underlines what the exporter would refuse, unless it cannot know it.
    """
    bad = [path.name for path in FOLDER.glob("*.bad.yml") if is_yaml(path.name)]

    accepted = {name.removesuffix(".bad.yml") for name in bad if not mistakes((FOLDER / name).read_text("utf-8"))}

    assert BEYOND_A_SCHEMA == accepted


def test_the_command_prints_it():
    """
    And the file beside the examples, which they name in their first line, is what it prints.
    """
    printed = CliRunner().invoke(app, ["schema"]).stdout

    assert json_schema() == json.loads(printed)
    assert printed == SCHEMA_FILE.read_text("utf-8"), f"rtc-room-exporter schema > {SCHEMA_FILE.relative_to(ROOT)}"
    assert EXAMPLES
    for path in EXAMPLES:
        first, _, _ = path.read_text("utf-8").partition("\n")
        prefix, _, named = first.partition("$schema=")
        assert "# yaml-language-server: " == prefix
        assert SCHEMA_FILE == (path.parent / Path(named)).resolve()


def test_every_key_is_explained():
    """
    Whoever points at a key reads what it is.
    """
    definitions: Any = json_schema()["$defs"]

    assert [] == [
        f"{name}.{key}"
        for name, definition in definitions.items()
        if name.endswith("Source")
        for key, value in definition["properties"].items()
        if "description" not in value and "const" not in value
    ]
