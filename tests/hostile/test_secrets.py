"""
No secret, and nothing that was made from one, is ever seen: whatever fails, wherever one looks.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from click.testing import CliRunner

from exporter.cli import app
from tests.command import ask
from tests.hostile.echoing import MODES, Heard, echoing_vendor

PATIENCE = 40.0
SHORTEST = 12
"""Characters of a secret that are one as well: the first half of it, for instance."""

_RUN = re.compile(r"[a-z0-9*_+/=%.-]{12,}", re.ASCII)
"""What secrets are written in; only the header around a signature has spaces."""

KEYS: dict[str, dict[str, int | str | None]] = {
    "zego_rtc": {"app_id": None, "server_secret": 32},
    "zego_zim": {"app_id": None, "server_secret": 32},
    "tencent_im": {"sdk_app_id": None, "identifier": "administrator", "secret_key": 64},
    "tencent_live": {"sdk_app_id": None, "identifier": "administrator", "secret_key": 64},
    "volcengine_rtc": {"app_id": "661e", "access_key_id": "", "secret_access_key": 40, "session_token": 48},
    "janus_videoroom": {"admin_path": "/echo-{mode}", "admin_secret": 32, "admin_key": 32},
}
BUG = """
import exporter.vendors
codec = exporter.vendors.APIS["zego_zim"]
reply = codec.reply
def broken(rooms, status, headers, body):
    secret_local = body
    if rooms == ("echo-html_ok",):
        raise RuntimeError("a bug")
    return reply(rooms, status, headers, body)
type(codec).reply = staticmethod(broken)
"""
"""Raises in the middle of a call, with secrets among the local variables."""


class Stage:
    """
    An exporter with a source for each API and each way of answering, each with secrets of its own.

    Attributes:
        marks: Every secret of the config.
    """

    def __init__(self, folder: Path, vendor: str, heard: Heard) -> None:
        self.folder = folder
        self.heard = heard
        self.marks: list[str] = []
        self.env: dict[str, str] = {}
        self.sources = [self._source(api, mode, number, vendor) for number, (api, mode) in enumerate(PAIRS, 1)]
        self.sources += [self._proxied(vendor, scheme) for scheme in ("http", "https")]
        self.path = folder / "exporter.yml"
        self.write(self.sources)

    def write(self, sources: list[dict[str, Any]]) -> None:
        """
        Make these the config.
        """
        self.path.write_text(yaml.safe_dump({"sources": sources}), encoding="utf-8")

    @property
    def parts(self) -> set[str]:
        """
        The beginning and the end of every secret, and of whatever the vendor has heard that was made from one.
        """
        values = {*self.marks, *self.heard.derived}
        spelt = {spelling.lower() for value in values for spelling in (value, quote(value, safe=""))}
        parts = {part for value in spelt for part in (value[:SHORTEST], value[-SHORTEST:])}
        return {part for part in parts if _RUN.fullmatch(part)}

    def _secret(self, characters: int) -> str:
        self.marks.append(secrets.token_hex(characters // 2))
        return self.marks[-1]

    def _source(self, api: str, mode: str, number: int, vendor: str) -> dict[str, Any]:
        source: dict[str, Any] = {
            "name": f"{api} {mode}",
            "api": api,
            "base_url": f"http://{vendor}",
            "budget": f"{api} {mode}",
            "timeout": "1s",
            "rooms": [f"echo-{mode}"],
        }
        for key, value in KEYS[api].items():
            if isinstance(value, int):
                self._give(source, key, self._secret(value), number)
            else:
                source[key] = number if value is None else value.format(mode=mode) or f"AKLT{number:020}"
        return source

    def _give(self, source: dict[str, Any], key: str, secret: str, number: int) -> None:
        """
        Plainly, by a variable, or by a file, in turn.
        """
        name = f"s{number}_{key}"
        if number % 3 == 0:
            source[key] = secret
        elif number % 3 == 1:
            source[f"{key}_env"] = name.upper()
            self.env[name.upper()] = secret
        else:
            (self.folder / name).write_text(secret)
            source[f"{key}_file"] = name

    def _proxied(self, vendor: str, scheme: str) -> dict[str, Any]:
        source = self._source("zego_rtc", "html", 900 + len(scheme), vendor)
        password = self._secret(32)
        source |= {"name": f"proxied {scheme}", "budget": f"proxied {scheme}", "allow_http": True}
        return source | {"base_url": f"{scheme}://vendor.invalid", "proxy": f"http://user:{password}@{vendor}"}


PAIRS = [(api, mode) for mode in MODES for api in KEYS]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """
    The stage, its vendor at work.
    """
    with echoing_vendor() as (vendor, heard):
        yield Stage(tmp_path, vendor, heard)


def look_for_secrets(stage: Stage, seen: Mapping[str, str]) -> None:
    """
    Fail if any of these texts, named by where they were seen, holds something secret or a good part of it.
    """
    parts = stage.parts
    assert len(stage.marks) < len(parts)
    for where, text in seen.items():
        for run in _RUN.finditer(text.lower()):
            found = [at for at in range(len(run[0]) - SHORTEST + 1) if run[0][at : at + SHORTEST] in parts]
            assert not found, f"{where}: {text[max(0, run.start() - 80) : run.end() + 80]!r}"


def pages(exporter: str) -> dict[str, str]:
    """
    Every page of a running exporter.
    """
    rooms = json.loads(ask(f"{exporter}/api/v1/rooms?limit=1000")[1])["rooms"]
    paths = [
        "/",
        "/?q=echo",
        "/metrics",
        "/api/v1/sources",
        "/api/v1/rooms?limit=1000",
        "/api/v1/openapi.json",
        "/docs",
    ]
    paths += ["/-/ready", "/-/healthy", "/nothing"]
    paths += [f"/rooms/{quote(room['source'])}/{quote(room['room'])}" for room in rooms[::7]]
    return {path: ask(f"{exporter}{path}")[1] for path in paths}


class Running:
    """
    The exporter as a process whose log goes to a file, since a pipe that nobody reads would fill.
    """

    def __init__(self, stage: Stage, *flags: str, env: Mapping[str, str]) -> None:
        self._log = stage.folder / "log"
        arguments = [f"--config.file={stage.path}", "--web.listen-address=127.0.0.1:0", *flags]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "exporter", "run", *arguments], stdout=log, stderr=log, env={**os.environ, **env}
            )
        self.url = self._until(r"http://127\.0\.0\.1:\d+")

    @property
    def log(self) -> str:
        """
        What it has printed so far.
        """
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def shown_by_the_system(self) -> dict[str, str]:
        """
        What anybody can read of the process.
        """
        process = Path(f"/proc/{self._process.pid}")
        return {name: (process / name).read_bytes().decode(errors="replace") for name in ("cmdline", "comm", "status")}

    def end(self) -> int:
        """
        End it; returns its exit code.
        """
        self._process.terminate()
        return self._process.wait(PATIENCE)

    def kill(self) -> None:
        """
        Whatever happened, it is gone.
        """
        self._process.kill()
        self._process.wait()

    def _until(self, pattern: str) -> str:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self._process.poll() is None:
            if found := re.search(pattern, self.log.partition("listening")[2]):
                return found[0]
            time.sleep(0.05)
        raise AssertionError(f"it does not listen: {self.log}")


@contextmanager
def running_exporter(stage: Stage, *flags: str, env: Mapping[str, str]) -> Iterator[Running]:
    """
    The exporter, gone at the end.
    """
    running = Running(stage, *flags, env=env)
    try:
        yield running
    finally:
        running.kill()


@pytest.mark.parametrize(
    "log_format", ["json", *(pytest.param(other, marks=pytest.mark.soak) for other in ("logfmt", "console"))]
)
def test_no_failure_shows_a_secret(stage: Stage, log_format: str) -> None:
    """
    Every API's every failure, a bug among them, at the lowest log level: log, pages, metrics, JSON and /proc, before
    and after a reload that is refused.
    """
    (stage.folder / "sitecustomize.py").write_text(BUG, encoding="utf-8")
    env = {**stage.env, "PYTHONPATH": f"{stage.folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    flags = ["--web.enable-lifecycle", "--log.level=debug", f"--log.format={log_format}"]
    with running_exporter(stage, *flags, env=env) as running:
        wanted = {f"{api} {mode}" for api, mode in PAIRS}
        until = time.monotonic() + PATIENCE
        while not wanted <= stage.heard.modes and time.monotonic() < until:
            time.sleep(0.1)
        assert wanted == stage.heard.modes & wanted
        time.sleep(1.5)  # the time-out of those that get no answer
        seen = {**pages(running.url), **running.shown_by_the_system}
        spoilt = [{**source, "rooms": source["server_secret"]} for source in stage.sources if "server_secret" in source]
        stage.write(spoilt)
        status, seen["/-/reload"] = ask(f"{running.url}/-/reload", "POST")
        seen |= {f"{path} after": text for path, text in pages(running.url).items()}
        assert 0 == running.end()

    assert 500 == status
    assert 100 < running.log.count("call failed")
    assert "RuntimeError" in running.log
    look_for_secrets(stage, {**seen, "log": running.log})


def test_no_probe_shows_a_secret(stage: Stage) -> None:
    """
    What a person at a terminal sees of a call in full, whatever the vendor answered, or a proxy.
    """
    seen = {}
    for source in stage.sources:
        arguments = ["probe", source["name"], source["rooms"][0], f"--config.file={stage.path}"]
        probed = CliRunner().invoke(app, arguments, env=stage.env)
        assert isinstance(probed.exception, SystemExit | None)
        seen[source["name"]] = probed.output

    assert all("This call spends one slot" in text for text in seen.values())
    look_for_secrets(stage, seen)
