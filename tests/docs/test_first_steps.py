"""
The README's first config and the first steps after it can be followed as they are printed, and print what is shown.
"""

from __future__ import annotations

import re
import shlex
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from exporter.cli import app
from tests.command import Command, ask, command
from tests.docs.pages import FIRST_STEPS, README
from tests.docs.test_examples import masked
from tests.rules.promql import published, rules

pytestmark = pytest.mark.docs

STEPS = README.text.partition("\n## A first config\n")[2].partition("\n## ")[0] + FIRST_STEPS.text
BLOCKS = [(kind, text) for kind, text in re.findall(r"^```(\w+)\n(.*?)^```$", STEPS, re.MULTILINE | re.DOTALL)]
TYPED = [
    part.partition("\n")[::2]
    for kind, text in BLOCKS
    if kind == "console" or text.startswith("curl ")
    for part in text.removeprefix("$ ").split("\n$ ")
]
PORTS = {"simulate": "9878", "run": "9877"}


class Reader:
    """
    Somebody who types what stands there, in an empty folder; only the ports are others.
    """

    def __init__(self, terminals: ExitStack) -> None:
        self.env: dict[str, str] = {}
        self._terminals = terminals
        self._urls: dict[str, str] = {}

    def _here(self, text: str) -> str:
        for port, url in self._urls.items():
            text = text.replace(f"http://127.0.0.1:{port}", url)
        return text

    def writes(self, name: str, text: str) -> None:
        """
        A file.
        """
        Path(name).write_text(self._here(text), encoding="utf-8")

    def types(self, line: str) -> str:
        """
        A command; returns what it prints, of a command that stays the first line.
        """
        line, _, pattern = line.partition(" | grep ")
        program, *arguments = shlex.split(self._here(line))
        if program == "export":
            name, _, value = arguments[0].partition("=")
            self.env[name] = value
            return ""
        if program == "curl":
            body = arguments[arguments.index("-d") + 1] if "-d" in arguments else None
            status, printed = ask(arguments[-1], "POST" if body else "GET", body)
            assert 200 == status
            lines = printed.splitlines(keepends=True)
            return "".join(each for each in lines if re.search(shlex.split(pattern)[0], each)) if pattern else printed
        assert "rtc-room-exporter" == program
        if arguments[0] in PORTS:
            return self._starts(arguments)
        result = CliRunner().invoke(app, arguments, env=self.env)
        return result.stdout + result.stderr

    def _starts(self, arguments: list[str]) -> str:
        arguments = [re.sub(r"(?<=config\.file=)", f"{Path.cwd()}/", word) for word in arguments]
        started: Command = self._terminals.enter_context(
            command(*arguments, "--web.listen-address=127.0.0.1:0", env=self.env)
        )
        port = PORTS[arguments[0]]
        url = self._urls[port] = started.until(r"(http://[^,\s]+)")[1]
        if arguments[0] == "run":
            while ask(f"{url}/-/ready")[0] != 200:  # about as long as it takes to type the next command
                time.sleep(0.1)
        return started.printed.replace(url, f"http://127.0.0.1:{port}")


def test_the_first_steps_print_what_is_shown(tmp_path, monkeypatch):
    """
    From the simulator to the metrics, in order; what differs each time is masked, and only where there is such.
    """
    monkeypatch.chdir(tmp_path)
    (config,) = [text for kind, text in BLOCKS if kind == "yaml"]
    with ExitStack() as terminals:
        reader = Reader(terminals)
        for typed, shown in TYPED:
            if " check " in typed:
                reader.writes("exporter.yml", config)
            alike = masked if " probe " in typed or " run " in typed else str
            printed = reader.types(typed)
            assert not shown or alike(shown).strip() == alike(printed).strip(), typed

    assert 11 == len(TYPED)


def test_what_was_installed_is_what_is_typed():
    """
    The environment is activated before its program is called, and it is made of the clone.
    """
    (install,) = [text for kind, text in BLOCKS if kind == "sh" and "pip" in text]
    made, activated, installed = install.splitlines()

    assert f". {made.split()[-1]}/bin/activate" == activated
    assert "pip install ." == installed


def test_the_first_graph_asks_for_what_is_published():
    """
    The link's expression is one of our series, and the alert one of our rules.
    """
    (expression,) = re.findall(r"g0\.expr=(\w+)", STEPS)
    (alert,) = re.findall(r"`(Rtc\w+)` fires", STEPS)

    assert expression in published().series
    assert alert in {rule.get("alert") for rule in rules("alerts.yml")}
