"""
`check` with a web config, alone and beside a config.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from exporter.cli import app
from tests.web.security.house import CLIENTS, TLS, USERS, House

CONFIG = "sources:\n  - {name: live, api: zego_rtc, app_id: 1, server_secret: " + "0a" * 16 + ", rooms: [lobby]}\n"


def check(*files: str | Path) -> Result:
    """
    Run the command within this process; the web config first.
    """
    flags = [f"{flag}={file}" for flag, file in zip(("--web.config.file", "--config.file"), files, strict=False)]
    return CliRunner().invoke(app, ["check", *flags])


@pytest.fixture
def config(tmp_path):
    """
    A config that is valid.
    """
    file = tmp_path / "exporter.yml"
    file.write_text(CONFIG, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("web_config", "said"),
    [
        ("{}\n", "valid, and nothing guards the port"),
        (TLS, "valid, and the port is guarded by TLS"),
        (TLS + CLIENTS + USERS, "valid, and the port is guarded by TLS, client certificates, passwords"),
    ],
)
def test_a_web_config_alone(tmp_path, web_config, said):
    """
    What guards the port is said.
    """
    house = House(tmp_path, web_config)

    result = check(house.file)

    assert (0, f"{house.file}: {said}\n", "") == (result.exit_code, result.stdout, result.stderr)


def test_a_warning_is_told(tmp_path):
    """
    On standard error, and the exit code stays 0.
    """
    house = House(tmp_path, USERS)

    result = check(house.file)

    assert 0 == result.exit_code
    assert result.stderr.startswith(f"warning: {house.file}:1: basic_auth_users: passwords without tls_server_config")


def test_both_are_checked(tmp_path, config):
    """
    And each of them is told when both are wrong.
    """
    house = House(tmp_path, TLS)
    both = check(house.file, config)
    assert 0 == both.exit_code
    assert 2 == both.stdout.count(": valid")

    house.write("tls: {}\n")
    config.write_text("source: []\n", encoding="utf-8")
    both = check(house.file, config)
    assert 1 == both.exit_code
    assert f"{house.file}:1: tls: found an unknown key" in both.stderr
    assert f"{config}:1: source: found an unknown key" in both.stderr


def test_rooms_that_do_not_fit_still_have_their_exit_code(tmp_path, config):
    """
    With a web config that is valid.
    """
    rooms = ", ".join(f"r{number}" for number in range(2_000))
    config.write_text(CONFIG.replace("[lobby]", f"[{rooms}], interval: 1s"), encoding="utf-8")

    assert 3 == check(House(tmp_path, TLS).file, config).exit_code
