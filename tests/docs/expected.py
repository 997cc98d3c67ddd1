"""
Tables of the documents as the code has them, ready to paste.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from exporter import cli, logs
from exporter.vendors import APIS
from exporter.vendors.codec import Codec
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
    told = [words for name, words in _TELLS.items() if getattr(codec, name)]
    return [
        f"`{api}`{' with `is_test`' if test else ''}",
        str(codec.batch_size),
        f"{limit:g}",
        f"{codec.default_interval:g}s",
        f"{limit * codec.default_interval * codec.batch_size:,.0f}",
        f"{codec.room_ids.max_bytes} bytes",
        ", ".join(told),
    ]
