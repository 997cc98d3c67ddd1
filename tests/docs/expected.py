"""
Tables of the documents as the code has them, ready to paste.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from exporter import cli, logs
from exporter.config.cluster_schema import Cluster
from exporter.config.discovery_schema import Discovery, Listener
from exporter.config.secrets import key_forms
from exporter.vendors import APIS
from exporter.vendors.codec import Codec
from exporter.vendors.source import is_secret
from tests.deploy.project import ROOT

_CHOICES: dict[str, type[StrEnum]] = {"--log.level": logs.Level, "--log.format": logs.Format}
_TELLS = {
    "tells_admin_users": "admin users",
    "tells_invisible_users": "invisible users",
    "tells_existence": "whether it exists",
}


def commands() -> dict[str, Any]:
    """
    Every command of the command line, by name.
    """
    return dict(cli.app.commands)


def options(command: Any) -> list[Any]:
    """
    A command's flags, `--help` left out.
    """
    return [each for each in command.params if each.param_type_name == "option" and each.name != "help"]


def command_table() -> str:
    """
    Each command with its arguments, and what it does in one sentence.
    """
    rows = []
    for name, command in commands().items():
        arguments = [each.metavar for each in command.params if each.param_type_name == "argument"]
        rows.append([f"`{' '.join([name, *arguments])}`", command.help.strip().partition("\n")[0]])
    return _table(["command", "what it does"], rows)


def flag_table() -> str:
    """
    Each flag once: its environment twin, the commands that have it, its default and its meaning.
    """
    having: dict[str, dict[str, Any]] = {}
    for name, command in commands().items():
        for option in options(command):
            having.setdefault(option.opts[0], {})[name] = option
    rows = []
    for flag, by_command in having.items():
        option = next(iter(by_command.values()))
        defaults = {name: _default(each) for name, each in by_command.items()}
        same = len(set(defaults.values())) == 1
        default = _default(option) if same else ", ".join(f"{name} {each}" for name, each in defaults.items())
        rows.append([f"`{flag}`", f"`{option.envvar}`", ", ".join(by_command), default, _meaning(flag, option)])
    return _table(["flag", "environment variable", "commands", "default", "meaning"], rows)


def api_table() -> str:
    """
    What each API can serve, at its default interval and limit.
    """
    header = ["API", "rooms a call", "calls per second", "interval", "rooms that fit", "room id up to", "tells besides"]
    rows = [_api_row(api, codec, test=False) for api, codec in APIS.items()]
    rows.insert(1, _api_row("zego_rtc", APIS["zego_rtc"], test=True))
    return _table(header, rows)


def discovery_table() -> str:
    """
    Every key below `discovery`, with the default and what it is.
    """
    return _table(["key", "default", "what it is"], _keys(Discovery))


def listener_table() -> str:
    """
    Every key below `callbacks` at the top.
    """
    return _table(["key", "default", "what it is"], _keys(Listener))


def cluster_table() -> str:
    """
    Every key below `cluster`.
    """
    return _table(["key", "default", "what it is"], _keys(Cluster))


def _keys(model: type[BaseModel], path: str = "") -> list[list[str]]:
    rows = []
    for name, info in model.model_fields.items():
        secret = is_secret(info.annotation)
        forms = f"Secret: {(info.description or '')[:1].lower()}{(info.description or '')[1:]}; or " if secret else ""
        described = (info.description or "").partition("; default: ")[0]
        meaning = forms + ", ".join(f"`{key}`" for key in key_forms(name)[1:]) if secret else described
        rows.append([f"`{path}{name}`", _default_of(name, info), meaning])
        inner = [each for each in _types(info.annotation) if isinstance(each, type) and issubclass(each, BaseModel)]
        brackets = "[]" if get_origin(info.annotation) is tuple else ""
        rows += [row for each in inner for row in _keys(each, f"{path}{name}{brackets}.")]
    return rows


def _types(annotation: Any) -> Iterator[Any]:
    yield annotation
    for each in get_args(annotation):
        yield from _types(each)


def _default_of(name: str, info: FieldInfo) -> str:
    value = info.default
    if info.is_required():
        return "required"
    if value is None or value == () or isinstance(value, BaseModel):
        return (info.description or "").partition("; default: ")[2] or "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return next(
            (f"{value / size:g}{unit}" for size, unit in ((3600, "h"), (60, "m")) if value and not value % size),
            f"{value:g}s",
        )
    if name == "max_body":
        return f"{value >> 20}MiB" if value >> 20 else f"{value >> 10}KiB"
    return str(value)


def make_table() -> str:
    """
    Each target of the Makefile, and what it says of itself.
    """
    targets = re.findall(r"^([a-z-]+):.*## (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return _table(["command", "what it does"], [[f"`make {name}`", words] for name, words in targets if name != "help"])


def _table(header: list[str], rows: Iterable[list[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in [header, *rows]]
    return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]])


def _default(option: Any) -> str:
    if option.required:
        return "required"
    if option.is_flag:
        return "off"
    return f"`{option.default}`" if option.default and isinstance(option.default, str | int) else "none"


def _meaning(flag: str, option: Any) -> str:
    meaning: str = option.help.rstrip(".")
    return f"{meaning}: {', '.join(f'`{choice}`' for choice in _CHOICES[flag])}" if flag in _CHOICES else meaning


def _api_row(api: str, codec: Codec, *, test: bool) -> list[str]:
    class Defaults:
        is_test = test

    limit = codec.default_limit(Defaults)
    answers_all = codec.lists is not None and codec.lists.answers_all
    fitting = f"{limit * codec.default_interval * codec.batch_size:,.0f}"
    told = [words for name, words in _TELLS.items() if getattr(codec, name)]
    return [
        f"`{api}`{' with `is_test`' if test else ''}",
        "all" if answers_all else str(codec.batch_size),
        f"{limit:g}",
        f"{codec.default_interval:g}s",
        "15,000" if answers_all else fitting,  # what a reply of 8 MiB holds
        f"{codec.room_ids.max_bytes} bytes",
        ", ".join(told),
    ]
