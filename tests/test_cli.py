"""
The command line: what it accepts, prints and exits with.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from exporter import __version__, bounded
from exporter.cli import app, metrics_table
from exporter.metrics.catalogue import CATALOGUE
from exporter.simulator import DEFAULT_APPS
from tests.command import ask, command
from tests.deploy.project import ROOT

SECRET = "0123456789abcdef0123456789abcdef"
COMMANDS = app.commands
FLAGS = [
    (name, parameter)
    for name, each in COMMANDS.items()
    for parameter in each.params
    if parameter.param_type_name == "option"
]


def invoke(*arguments, env=None):
    """
    Run the command within this process.
    """
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)


def source(rooms, name="live", api="zego_rtc", **keys):
    """
    A source of the config.

    Args:
        rooms: How many.
    """
    credentials: dict[str, dict[str, object]] = {
        "zego_rtc": {"app_id": 1234567890, "server_secret": SECRET},
        "volcengine_rtc": {"app_id": "661e", "access_key_id": "AKLTexample", "secret_access_key": SECRET},
    }
    return {"name": name, "api": api, **credentials[api], "rooms": [f"room-{i}" for i in range(rooms)], **keys}


@pytest.fixture
def config_file(tmp_path):
    """
    Writes sources into a config file; returns its path.
    """

    def write(*sources):
        path: Path = tmp_path / "exporter.yml"
        path.write_text(yaml.safe_dump({"sources": sources}), encoding="utf-8")
        return path

    return write


@pytest.fixture
def taken_port():
    """
    A port of 127.0.0.1 that somebody else listens on.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fly"], "No such command 'fly'"),
        (["run"], "'--config.file' (env var: 'RTC_EXPORTER_CONFIG_FILE')"),
        (["check"], "'--config.file' (env var: 'RTC_EXPORTER_CONFIG_FILE')"),
        (["probe", "live", "lobby"], "'--config.file' (env var: 'RTC_EXPORTER_CONFIG_FILE')"),
        (["probe", "--config.file=x.yml", "live"], "ROOM"),
        (["run", "--config.file=x.yml", "--fast"], "--fast"),
        (
            ["run", "--config.file=x.yml", "--shard=0"],
            "'--total-shards' (env var: 'RTC_EXPORTER_TOTAL_SHARDS') is missing",
        ),
        (["run", "--config.file=x.yml", "--total-shards=2"], "'--shard' (env var: 'RTC_EXPORTER_SHARD') is missing"),
        (["run", "--config.file=x.yml", "--shard=pod-2", "--total-shards=2"], "is too high; accepted: 0 to 1"),
        (["run", "--config.file=x.yml", "--shard=one", "--total-shards=2"], "a name such as exporter-0"),
        (["run", "--config.file=x.yml", "--shard=0", "--total-shards=0"], "1<=x<=1000"),
        (["run", "--config.file=x.yml", "--log.level=loud"], "'debug', 'info', 'warn', 'warning', 'error'"),
        (["demo", "--log.format=xml"], "'logfmt', 'json', 'console'"),
        (["simulate", "--seed=luck"], "'--seed'"),
        (["metrics", "rtc_room_users"], "rtc_room_users"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_accepted(arguments, said):
    """
    A flag or an argument that is missing, unknown or wrong is named, with its environment twin or its choices.
    """
    result = invoke(*arguments)

    assert 2 == result.exit_code
    assert said in " ".join(result.stderr.split())


@pytest.mark.parametrize("level", ["warn", "WARN", "Warning", "INFO"])
def test_levels_are_called_as_elsewhere(tmp_path, level):
    """
    Other exporters call a warning ``warn``, and case does not matter to anybody.
    """
    result = invoke("run", f"--log.level={level}", f"--config.file={tmp_path / 'none.yml'}")

    assert 1 == result.exit_code
    assert "a readable file" in result.stderr


def test_help_says_what_each_command_does_in_a_whole_line():
    """
    A newcomer reads sentences, not their first halves.
    """
    result = invoke("--help")

    listed = re.findall(r"^  ([a-z]+)  +(\S.*)$", result.stdout.partition("Commands:")[2], re.MULTILINE)
    assert 0 == result.exit_code
    assert [*COMMANDS] == [name for name, _ in listed]
    assert [] == [words for _, words in listed if not words.endswith(".") or words.endswith("...")]


def test_it_tells_its_version():
    """
    `--version` is what a bug report asks for.
    """
    result = invoke("--version")

    assert (0, True) == (result.exit_code, result.stdout.startswith(f"rtc-room-exporter {__version__} (Python 3."))


@pytest.mark.parametrize(("name", "flag"), FLAGS, ids=[f"{name} {flag.opts[0]}" for name, flag in FLAGS])
def test_every_flag_has_its_environment_twin(name, flag):
    """
    --web.listen-address is RTC_EXPORTER_WEB_LISTEN_ADDRESS, and so for all of them.
    """
    twin = "RTC_EXPORTER_" + re.sub(r"[.-]", "_", flag.opts[0].removeprefix("--")).upper()

    assert twin == flag.envvar


def test_a_flag_wins_over_its_environment_twin(config_file):
    """
    The environment is the default, the command line the last word.
    """
    good = config_file(source(1))

    assert 0 == invoke("check", env={"RTC_EXPORTER_CONFIG_FILE": str(good)}).exit_code
    assert 0 == invoke("check", f"--config.file={good}", env={"RTC_EXPORTER_CONFIG_FILE": "nowhere.yml"}).exit_code
    assert 1 == invoke("check", "--config.file=nowhere.yml", env={"RTC_EXPORTER_CONFIG_FILE": str(good)}).exit_code


def test_the_catalogue_is_printed_whole():
    """
    `metrics` lists every metric once, in the catalogue's order, as a table that Markdown understands.
    """
    result = invoke("metrics")

    assert (0, metrics_table() + "\n") == (result.exit_code, result.stdout)
    assert [metric.name for metric in CATALOGUE] == re.findall(r"^\| `(\w+)` \|", result.stdout, re.MULTILINE)
    assert {4} == {line.replace(r"\|", "").count("|") - 1 for line in result.stdout.splitlines()}


def test_check_shows_what_rooms_need_and_what_the_budget_allows(config_file):
    """
    950 rooms, ten a call, every ten seconds: 9.5 calls a second of 10.
    """
    path = config_file(source(950))

    result = invoke("check", f"--config.file={path}")

    assert (0, "") == (result.exit_code, result.stderr)
    assert [
        "budget zego_rtc:1234567890: fits; 9.50 calls/s needed, 10 calls/s allowed, 9.75 calls/s kept",
        "  source live (zego_rtc): 950 rooms, 95 calls per interval of 10s, can keep 10.0s",
        "series of source live: 3,800 of 950 rooms",
        f"{path}: valid, and its rooms fit their budgets",
    ] == result.stdout.splitlines()


@pytest.mark.parametrize(
    ("publish", "series"),
    [
        (
            {"top": 100},
            "406 of 101 rooms, 1 with thresholds or labels of their own; 849 only counted, unless near a threshold",
        ),
        ({"top": 2_000}, "3,802 of 950 rooms, 1 with thresholds or labels of their own\n"),
        ({"top": 100, "min_users": 5}, "up to 406 of 101 rooms with 5 users or more, 1 with"),
    ],
)
def test_check_tells_how_many_series_there_will_be(config_file, publish, series):
    """
    Those of the fullest rooms and of rooms that have something of their own; the others are counted.
    """
    families = ["users", "reading_timestamp", "info", "users_threshold", "user_seconds"]
    live = source(949, publish=publish, families=families)
    special = {"id": "special", "thresholds": {"warning": 1, "critical": 2}}

    result = invoke("check", f"--config.file={config_file({**live, 'rooms': [*live['rooms'], special]})}")

    assert f"series of source live: {series}" in result.stdout


def test_check_lets_rooms_pass_that_are_late_by_five_percent(config_file):
    """
    1,020 rooms are read every 10.5 s: nobody minds, and the exit code is 0.
    """
    result = invoke("check", f"--config.file={config_file(source(1020))}")

    assert 0 == result.exit_code
    assert "fits; 10.20 calls/s needed, 10 calls/s allowed, 9.75 calls/s kept" in result.stdout
    assert "1,020 rooms, 102 calls per interval of 10s, can keep 10.5s\n" in result.stdout


def test_check_exits_with_3_when_rooms_do_not_fit(config_file):
    """
    1,500 rooms are read every 15.4 s; the budget is named, and what could be done about it.
    """
    result = invoke("check", f"--config.file={config_file(source(1500))}")

    assert (3, "rooms do not fit: zego_rtc:1234567890\n") == (result.exit_code, result.stderr)
    budget, live, _ = result.stdout.splitlines()
    assert (
        "budget zego_rtc:1234567890: DOES NOT FIT; 15.00 calls/s needed, 10 calls/s allowed, 9.75 calls/s kept"
        == budget
    )
    assert "  source live (zego_rtc): 1,500 rooms, 150 calls per interval of 10s, can keep 15.4s" in live
    assert live.endswith(" (too slow: fewer rooms, a longer interval or a higher limit)")


def test_check_tells_whether_a_cadence_can_hold(config_file):
    """
    1,500 rooms can be read every 15.4 s on average, so that the quietest are read every 30 s, but not every 12 s.
    """
    fits = invoke("check", f"--config.file={config_file(source(1500, cadence={'longest': '30s'}))}")
    fails = invoke("check", f"--config.file={config_file(source(1500, cadence={'longest': '12s'}))}")

    assert (0, 3) == (fits.exit_code, fails.exit_code)
    assert "can keep 15.4s on average, and longest: 30s\n" in fits.stdout
    assert "can keep 15.4s at best, so longest: 12s cannot hold (too slow:" in fails.stdout


def test_check_adds_up_the_sources_of_a_budget(config_file):
    """
    Volcengine counts calls per account, so two apps share 40 a second, and all their rooms are late by 1.9 s.
    """
    first = source(300, "first", "volcengine_rtc")
    second = source(300, "second", "volcengine_rtc", interval="20s")

    result = invoke("check", f"--config.file={config_file(first, second)}")

    assert (3, "rooms do not fit: volcengine_rtc\n") == (result.exit_code, result.stderr)
    assert (
        "budget volcengine_rtc: DOES NOT FIT; 45.00 calls/s needed, 40 calls/s allowed, 38.99 calls/s kept\n"
        in result.stdout
    )
    assert "source first (volcengine_rtc): 300 rooms, 300 calls per interval of 10s, can keep 11.9s" in result.stdout
    assert "source second (volcengine_rtc): 300 rooms, 300 calls per interval of 20s, can keep 21.9s" in result.stdout


def test_check_exits_with_1_and_every_problem_of_a_bad_config(config_file):
    """
    What is wrong stands on standard error, with file and line; nothing is said of budgets.
    """
    path = config_file({**source(1), "intervall": "10s"}, source(1))

    result = invoke("check", f"--config.file={path}")

    assert (1, "") == (result.exit_code, result.stdout)
    assert f"{path}:4: sources[0].intervall: found an unknown key (did you mean interval?)" in result.stderr
    assert "sources[1].name: found 'live' again" in result.stderr
    assert SECRET not in result.output


def test_check_says_when_there_is_no_config(tmp_path):
    """
    A path with a typo is an error in words, not a traceback.
    """
    result = invoke("check", f"--config.file={tmp_path}/exporter.yml")

    assert (1, "") == (result.exit_code, result.stdout)
    assert f"{tmp_path}/exporter.yml: found no such file or directory" in result.stderr


@pytest.mark.parametrize("command", [["check"], ["probe", "live", "lobby"]])
def test_files_that_hang_end_a_command(config_file, tmp_path, monkeypatch, command):
    """
    A secret in a pipe that nobody writes to, as on a dead mount: the command says so, and ends.
    """
    monkeypatch.setattr(bounded, "WITHIN", 0.3)
    os.mkfifo(tmp_path / "pipe")
    described = {name: value for name, value in source(1).items() if name != "server_secret"}
    path = config_file({**described, "server_secret_file": "pipe"})

    result = invoke(*command, f"--config.file={path}")

    assert (1, "") == (result.exit_code, result.stdout)
    assert result.stderr.endswith("accepted: a readable file that holds the secret alone\n")


def test_check_counts_the_rooms_of_rooms_files(config_file, tmp_path):
    """
    Rooms of files count like those of the config; odd ids in them are worth a warning.
    """
    (tmp_path / "more.txt").write_text("stage\nmain hall\n", encoding="utf-8")

    result = invoke("check", f"--config.file={config_file(source(1, rooms_files=['*.txt']))}")

    assert 0 == result.exit_code
    assert "3 rooms, 1 call per interval" in result.stdout
    assert f"warning: {tmp_path}/more.txt: 1 of 2 room ids hold undocumented characters ('main hall')" in result.stderr


def test_check_names_rooms_files_that_are_not_there(config_file, tmp_path):
    """
    A pattern without a file is no error, as files may come later, but most likely a typo.
    """
    result = invoke("check", f"--config.file={config_file(source(1, rooms_files=['roms/*.yml']))}")

    assert 0 == result.exit_code
    assert f"warning: source live: no file matches {tmp_path}/roms/*.yml\n" == result.stderr
    assert "exporter.yml: valid, with 1 warning, and its rooms fit their budgets\n" in result.stdout


def test_check_names_a_source_that_watches_nothing(config_file, tmp_path):
    """
    With the last of its rooms files a source loses all its rooms.
    """
    result = invoke("check", f"--config.file={config_file(source(0, rooms_files=['roms/*.yml']))}")

    assert 0 == result.exit_code
    assert [
        f"warning: source live: no file matches {tmp_path}/roms/*.yml",
        "warning: source live: watches no rooms",
    ] == result.stderr.splitlines()
    assert "exporter.yml: valid, with 2 warnings, and its rooms fit their budgets\n" in result.stdout


def test_check_exits_with_1_when_a_rooms_file_is_broken(config_file, tmp_path):
    """
    The exporter would run on without the file's rooms; whoever checks a config wants to know that.
    """
    (tmp_path / "more.txt").write_text("room-0\n", encoding="utf-8")

    result = invoke("check", f"--config.file={config_file(source(1, rooms_files=['more.txt']))}")

    assert 1 == result.exit_code
    assert f"{tmp_path}/more.txt:1: found 'room-0', which the config lists already" in result.stderr


def test_run_is_configured_by_its_environment_alone(config_file):
    """
    In a container every flag may come as a variable; SIGTERM ends it with exit code 0.
    """
    env = {
        "RTC_EXPORTER_CONFIG_FILE": str(config_file(source(1, base_url="http://127.0.0.1:1"))),
        "RTC_EXPORTER_WEB_LISTEN_ADDRESS": "127.0.0.1:0",
        "RTC_EXPORTER_WEB_TELEMETRY_PATH": "/numbers",
        "RTC_EXPORTER_WEB_ENABLE_LIFECYCLE": "true",
        "RTC_EXPORTER_LOG_LEVEL": "info",
        "RTC_EXPORTER_LOG_FORMAT": "json",
    }
    with command("run", env=env) as exporter:
        url = exporter.until(r'"listening": "([^"]+)"')[1]
        started = json.loads(exporter.printed.splitlines()[-1])
        metrics, reload = ask(f"{url}/numbers"), ask(f"{url}/-/reload", "POST")
        code = exporter.end()

    first = json.loads(exporter.printed.splitlines()[0])
    assert {"event": "started", "level": "info", "sources": 1, "rooms": 1}.items() <= started.items()
    assert min(65_536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]) == started["open_files"]
    assert ("listening", url) == (first["event"], f"http://{first['address']}")
    assert ("nothing: no TLS, no password", True) == (first["guarded_by"], first["allows"].endswith("reloading"))
    assert __version__ == started["version"]
    assert (200, True) == (metrics[0], "rtc_exporter_build_info" in metrics[1])
    assert (200, "OK\n") == reload
    assert 0 == code
    assert '"event": "stopped"' in exporter.printed.splitlines()[-1]


def test_run_refuses_a_reload_over_http_unless_it_is_allowed(config_file):
    """
    Whoever reaches the port may read, no more; Ctrl+C ends it with exit code 0.
    """
    path = config_file(source(1, base_url="http://127.0.0.1:1"))
    with command("run", f"--config.file={path}", "--web.listen-address=127.0.0.1:0") as exporter:
        url = exporter.until(r"event=started .*listening=(\S+)")[1]
        status, text = ask(f"{url}/-/reload", "POST")
        code = exporter.end(signal.SIGINT)

    assert (403, True, 0) == (status, "--web.enable-lifecycle" in text, code)


HEAVY = {
    "aiohttp",
    "apscheduler",
    "jinja2",
    "structlog",
    "uvloop",
    "exporter.simulator",
    "exporter.web.server",
    "exporter.app",
}


def loaded(*arguments):
    """
    Every module that is loaded when the command has done its work.
    """
    code = (
        "import atexit, sys\n"
        "from exporter.__main__ import main\n"
        "atexit.register(lambda: print('LOADED', *sys.modules))\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    return {*done.stdout.partition("LOADED ")[2].split()}


def test_what_a_command_does_not_need_is_not_loaded(config_file):
    """
    `--version` waits for no library but the command line's own, `check` neither for a web server nor for what polls.
    """
    checked = loaded("check", f"--config.file={config_file(source(1))}")

    assert set() == loaded("--version") & (HEAVY | {"asyncio", "yaml", "exporter.config"})
    assert set() == checked & HEAVY
    assert {"yaml", "exporter.config"} <= checked


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_full_disk_is_told_in_one_line():
    """
    Output that does not fit where it is sent is an error of the disk, and needs no traceback.
    """
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "exporter", "metrics"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
            cwd=ROOT,
        )

    assert (1, "cannot write to standard output: no space left on device\n") == (done.returncode, done.stderr)


@pytest.mark.timed
@pytest.mark.parametrize("arguments", [["--version"], ["check", "--config.file={config}"]], ids=["version", "check"])
def test_it_starts_within_a_third_of_a_second(config_file, arguments):
    """
    Nobody waits for an answer that takes no network. Seconds of a core are held, of the least of five starts: a busy
    machine makes a start long, not expensive.
    """
    command = [sys.executable, "-m", "exporter", *(word.format(config=config_file(source(2))) for word in arguments)]
    took = []
    for _ in range(5):
        before = os.times()
        subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=ROOT)
        after = os.times()
        took.append(sum(after[2:4]) - sum(before[2:4]))

    assert 0.35 >= min(took)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--web.listen-address=nowhere"], "the listen address 'nowhere' is not valid; accepted: HOST:PORT"),
        (["--web.telemetry-path=metrics"], "the telemetry path 'metrics' cannot be served; accepted: a path such as"),
    ],
)
def test_run_exits_with_1_when_it_cannot_serve(config_file, flags, said):
    """
    The reason is one line, and no poller was started for nothing.
    """
    with command("run", f"--config.file={config_file(source(1))}", *flags) as exporter:
        code = exporter.wait()

    assert (1, 1) == (code, len(exporter.printed.splitlines()))
    assert exporter.printed.startswith(said)


@pytest.mark.parametrize("name", ["run", "simulate"])
def test_a_port_that_is_taken_is_named(config_file, taken_port, name):
    """
    Two exporters on one machine is a usual mistake: exit code 1, and a line without an errno.
    """
    config = [f"--config.file={config_file(source(1))}"] if name == "run" else []
    with command(name, *config, f"--web.listen-address=127.0.0.1:{taken_port}") as running:
        code = running.wait()

    assert 1 == code
    assert str(taken_port) in running.printed
    assert "address already in use" in running.printed.lower()
    assert "Errno" not in running.printed


@pytest.mark.parametrize("kind", [ValueError, OSError, RuntimeError, KeyError, UnicodeError])
@pytest.mark.parametrize(
    "inside", ["exporter.config.parse", "exporter.rooms.RoomsFiles.scan", "exporter.polling.load.budget_loads"]
)
def test_a_bug_is_not_told_as_a_mistake_of_the_user(config_file, monkeypatch, inside, kind):
    """
    An exception that nobody expects leaves the program as it is, whatever its type.
    """

    def broken(*_):
        raise kind("deep inside")

    monkeypatch.setattr(inside, broken)

    result = invoke("check", f"--config.file={config_file(source(1))}")

    assert (1, kind) == (result.exit_code, type(result.exception))
    assert "" == result.stderr


@pytest.mark.parametrize("name", ["run", "check"])
def test_a_bug_shows_its_traceback(config_file, name):
    """
    Whoever reports it can copy where it happened; the exit code is 1.
    """
    program = (
        "import exporter.cli, exporter.config\n"
        "def broken(*_): raise ValueError('deep inside')\n"
        "exporter.config.load = broken\n"
        "exporter.cli.main()\n"
    )
    address = ["--web.listen-address=127.0.0.1:0"] if name == "run" else []
    result = subprocess.run(
        [sys.executable, "-c", program, name, f"--config.file={config_file(source(1))}", *address],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
    )

    assert 1 == result.returncode
    assert "Traceback (most recent call last):" in result.stderr
    assert re.search(r", in broken$.*^ValueError: deep inside$", result.stderr, re.MULTILINE | re.DOTALL)


def test_what_the_user_can_mend_has_no_traceback(config_file):
    """
    One line, also in a process of its own.
    """
    result = subprocess.run(
        [sys.executable, "-m", "exporter", "check", "--config.file=nowhere.yml"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
    )

    assert (1, "") == (result.returncode, result.stdout)
    assert "nowhere.yml: found no such file or directory; accepted: a readable file\n" == result.stderr


def test_run_refuses_a_bad_config(config_file):
    """
    The process does not start on half a config; exit code 1.
    """
    with command("run", f"--config.file={config_file(source(1, interval='often'))}") as exporter:
        code = exporter.wait()

    assert 1 == code
    assert "sources[0].interval: found 'often'; accepted: a duration such as 500ms, 10s or 1m30s" in exporter.printed


def test_the_simulator_runs_alone():
    """
    It prints where it listens and where its credentials are, and SIGTERM ends it with exit code 0.
    """
    with command("simulate", "--web.listen-address=127.0.0.1:0", "--seed=7") as simulator:
        url = simulator.until(r"their truth and credentials: (\S+)")[1]
        status, text = ask(url)
        code = simulator.end()

    assert (200, 0) == (status, code)
    assert DEFAULT_APPS.zego[0].server_secret == json.loads(text)["credentials"]["zego"][0]["server_secret"]


def test_check_tells_what_found_rooms_would_need(config_file):
    """
    Of a source whose rooms find themselves: how often rooms are read when there are as many as may be, and what its
    list costs.
    """
    path = config_file(source(0, discovery={"max_rooms": 2000, "vendor_list": {}}))

    result = invoke("check", f"--config.file={path}")

    assert 0 == result.exit_code
    assert (
        "discovery of source live: up to 2,000 rooms; so many are read every 20.5s instead of 10s\n"
        "  list zego_rtc.list:1234567890: 10 calls and 1.0s for a pass every 30s,"
        " 0.33 calls/s needed, 10 calls/s allowed\n" in result.stdout
    )


def test_check_tells_whether_a_cadence_can_hold_with_all_found_rooms(config_file):
    """
    With as many rooms as may be, the quietest are read every 30 s or not.
    """
    lines = []
    for longest in ("30s", "15s"):
        keys = {"discovery": {"max_rooms": 2000, "vendor_list": {}}, "cadence": {"longest": longest}}
        lines += invoke("check", f"--config.file={config_file(source(0, **keys))}").stdout.splitlines()

    told = [line.partition("; so many ")[2] for line in lines if line.startswith("discovery")]
    assert [
        "are read every 20.5s on average, and longest: 30s",
        "are read every 20.5s at best, so longest: 15s cannot hold",
    ] == told


def test_check_tells_what_each_shard_polls(config_file):
    """
    With `--total-shards`: budgets, sources and calls per second of each, and a warning for those without work.
    """
    path = config_file(*(source(100, f"s{n}", app_id=n + 1) for n in range(2)), source(20, "again", app_id=1))
    result = invoke("check", f"--config.file={path}", "--total-shards=3")

    shards = [line for line in result.stdout.splitlines() if "shard" in line or line.startswith("  zego_rtc:")]
    assert 0 == result.exit_code
    assert [
        "  zego_rtc:1: s0, again; up to 1.20 calls/s",
        "  zego_rtc:2: s1; up to 1.00 calls/s",
    ] == sorted(line for line in shards if "up to" in line and line.startswith("  "))
    assert ["shard 0 of 3: ", "shard 1 of 3: ", "shard 2 of 3: "] == [line[:14] for line in shards if line[0] == "s"]
    assert "warning: shard" in result.stderr
    assert "has nothing to poll" in result.stderr
    assert "valid, with 1 warning," in result.stdout
