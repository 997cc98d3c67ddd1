"""
What calls are signed with, and what changes when a signature is refused.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

from exporter.clock import Clock
from exporter.config import SourceConfig
from exporter.metrics.room import Arrival
from exporter.model import Request, Stamp
from exporter.polling import signing
from exporter.polling.client import Response
from exporter.polling.signing import Signing
from tests.polling.house import LogLines, parsed, source

NOW = 1_700_000_000.0


class World:
    """Our clock and the log."""

    def __init__(self) -> None:
        self.unix = NOW
        self.now = 1_000.0
        self.log = LogLines()
        nonces = iter(range(1_000_000))
        clock = Clock(lambda: self.now, lambda: self.unix, nonce=lambda: f"{next(nonces):016x}")
        self.signing = Signing(clock, self.log)

    def replied(self, ahead: float) -> None:
        """A reply came from a vendor whose clock is so many seconds ahead of ours."""
        headers = {"date": formatdate(self.unix + ahead, usegmt=True)}
        self.signing.measure(Response(200, headers, b"", 1.0, Arrival(1.0, self.unix)))

    def events(self) -> list[str]:
        """What the log says."""
        return [line.event for line in self.log.lines]


@pytest.fixture
def world() -> World:
    """It is noon."""
    return World()


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits five seconds in a test."""
    assert 5.0 == signing._READ_WITHIN
    monkeypatch.setattr(signing, "_READ_WITHIN", 0.3)


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Path]:
    """A secret's file that hangs whoever reads it, until the test has ended."""
    path = tmp_path / "secret"
    os.mkfifo(path)
    yield path
    for thread in reading():
        while thread.is_alive():
            if path.is_fifo():
                os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
            thread.join(0.01)


def reading() -> list[threading.Thread]:
    """Threads that wait for a file."""
    return [thread for thread in threading.enumerate() if thread.name == "blocking"]


def config_of(api: str = "zego_rtc", folder: Path = Path("/nowhere"), **keys: object) -> SourceConfig:
    """A source with credentials."""
    (config,) = parsed(source(api, ["a"], **keys), folder=folder)
    return config


def stamp(request: Request) -> int:
    """The time that a request to ZEGO carries."""
    (time,) = parse_qs(urlsplit(request.target).query)["Timestamp"]
    return int(time)


def user_sig(request: Request) -> str:
    """What a request to Tencent is signed with."""
    return parse_qs(urlsplit(request.target).query)["usersig"][0]


def test_every_request_is_stamped_now(world: World) -> None:
    """
    With our own time, and a nonce of its own.
    """
    first = world.signing.request(config_of(), ["a"])
    world.unix += 7
    second = world.signing.request(config_of(), ["a"])

    assert (int(NOW), int(NOW) + 7) == (stamp(first), stamp(second))
    assert parse_qs(first.target)["SignatureNonce"] != parse_qs(second.target)["SignatureNonce"]


def test_what_is_derived_is_kept(world: World) -> None:
    """
    A UserSig is made once, and made anew when it is about to end or lies in the future.
    """
    config = config_of("tencent_im")
    first = user_sig(world.signing.request(config, ["a"]))
    world.unix += 60
    assert first == user_sig(world.signing.request(config, ["a"]))

    world.unix += 365 * 86_400
    late = user_sig(world.signing.request(config, ["a"]))
    assert first != late
    world.unix = NOW
    assert late != user_sig(world.signing.request(config, ["a"]))


@pytest.mark.parametrize("passed", [0.0, 0.4, 1.0, 30.0])
def test_refused_signature_is_never_used_again(world: World, passed: float) -> None:
    """
    However soon the trial is: not the one that was refused, and not the one that is made in the same second either.
    """
    config = config_of("tencent_im")
    refused = [user_sig(world.signing.request(config, ["a"]))]
    for _ in range(5):
        world.signing.refused()
        world.unix += passed
        trial = user_sig(world.signing.request(config, ["a"]))
        assert trial not in refused
        refused.append(trial)
        passed = max(passed, 1.0)


def test_refusals_of_calls_under_way_are_one(world: World) -> None:
    """
    Ten calls that left with one signature are refused one after the other: the trial's is another all the same.
    """
    config = config_of("tencent_im")
    refused = user_sig(world.signing.request(config, ["a"]))
    for _ in range(10):
        world.signing.refused()

    assert refused != user_sig(world.signing.request(config, ["a"]))


def test_other_secrets_sign_at_once(world: World) -> None:
    """
    After a reload brought a new secret, nothing that was derived from the old one is used.
    """
    old = user_sig(world.signing.request(config_of("tencent_im"), ["a"]))
    world.signing.renew()

    assert old != user_sig(world.signing.request(config_of("tencent_im", secret_key="another"), ["a"]))


def test_notable_skew_is_followed_after_a_refusal(world: World) -> None:
    """
    The clocks differ by two minutes: calls go on with our time until a signature is refused, then with the vendor's,
    and when clock and secret are right again, with ours, without another refusal. The log has a line for each change.
    """
    config = config_of()
    world.replied(ahead=120)
    assert NOW == stamp(world.signing.request(config, ["a"]))

    assert world.signing.refused()
    assert NOW + 120 == pytest.approx(stamp(world.signing.request(config, ["a"])), abs=1)
    assert not world.signing.refused()
    world.replied(ahead=120)
    assert NOW + 120 == pytest.approx(stamp(world.signing.request(config, ["a"])), abs=1)

    world.replied(ahead=0)
    assert NOW == stamp(world.signing.request(config, ["a"]))
    assert [
        "signature refused and clock skew is large: stamping calls with the vendor's time",
        "stamping calls with our own time again",
    ] == world.events()
    assert -120 == pytest.approx(world.log.lines[0].values["skew_seconds"], abs=1)


@pytest.mark.parametrize("ahead", [50.0, 26 * 3_600.0, -26 * 3_600.0])
def test_other_skew_is_not_followed(world: World, ahead: float) -> None:
    """
    Less than a minute explains no refusal, and more than a day is no skew.
    """
    world.replied(ahead)

    assert not world.signing.refused()
    assert NOW == stamp(world.signing.request(config_of(), ["a"]))
    assert [] == world.events()


async def test_skew_is_not_followed_while_no_signature_was_refused(world: World) -> None:
    """
    A source whose app is switched off has its files read again too; that says nothing about clocks.
    """
    world.replied(ahead=120)
    await world.signing.reread(config_of())

    assert NOW == stamp(world.signing.request(config_of(), ["a"]))
    assert [] == world.events()


async def test_every_file_is_read_again(world: World, tmp_path: Path) -> None:
    """
    Secret, session token and certificates are as the files hold them now; what comes from no file stays.
    """
    for name, text in (("key", "old-key"), ("token", "old-token")):
        (tmp_path / name).write_text(text)
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    files = {"secret_access_key_file": "key", "session_token_file": "token", "ca_file": "ca.pem"}
    config = config_of("volcengine_rtc", tmp_path, **files)
    for name, text in (("key", "new-key"), ("token", "new-token")):
        (tmp_path / name).write_text(text)
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    old = world.signing.request(config, ["a"])
    new = await world.signing.reread(config)

    assert ("old-key", "old-token") == config.source.secrets()[-2:]
    assert ("new-key", "new-token") == new.source.secrets()[-2:]
    assert config.client_key != new.client_key
    assert config.rooms == new.rooms
    request = world.signing.request(new, ["a"])
    assert "new-token" == request.headers["X-Security-Token"]
    assert old.headers["Authorization"] != request.headers["Authorization"]


async def test_file_that_cannot_be_read_changes_nothing(world: World, tmp_path: Path) -> None:
    """
    The old secret is tried again, and the log says why once, until the file could be read.
    """
    secret = tmp_path / "secret"
    secret.write_text("old")
    config = config_of("zego_rtc", tmp_path, server_secret_file="secret")
    secret.unlink()
    for _ in range(3):
        assert config is await world.signing.reread(config)
    assert ["secrets cannot be read again"] == world.events()
    assert "no such file" in str(world.log.lines[0].values["error"])

    secret.write_text("new")
    assert ("new",) == (await world.signing.reread(config)).source.secrets()
    secret.unlink()
    await world.signing.reread(config)
    assert ["secrets cannot be read again"] * 2 == world.events()


async def test_file_that_hangs_is_waited_for_once(world: World, fifo: Path) -> None:
    """
    For five seconds; whoever asks soon after that hears at once that nothing is new.
    """
    config = hanging(fifo)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert config is await world.signing.reread(config)
    assert 0.3 <= loop.time() - began < 2
    began = loop.time()
    for _ in range(20):
        assert config is await world.signing.reread(config)
    assert loop.time() - began < 0.2

    assert 2 == len(reading())  # one reads, and one waits for it
    assert ["secrets cannot be read again"] == world.events()
    assert "a file cannot be read within 0.3 s" == world.log.lines[0].values["error"]


async def test_file_that_hung_is_read_when_it_is_a_file_again(world: World, fifo: Path) -> None:
    """
    The thread that waits for what stood there before may wait for ever: half a minute later another one reads what
    stands there now.
    """
    config = hanging(fifo)
    await world.signing.reread(config)
    replace(fifo, "new")
    world.now += 29
    assert config is await world.signing.reread(config)
    world.now += 2
    read = await world.signing.reread(config)
    put_back(fifo)

    assert ("new",) == read.source.secrets()


async def test_threads_that_hang_are_few(world: World, fifo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A mount is dead for a day: each attempt comes twice as long after the one before it, up to an hour.
    """
    monkeypatch.setattr(signing, "_READ_WITHIN", 0.001)
    config = hanging(fifo)
    attempts = []
    for _ in range(24 * 3_600 // 5):
        before = len(reading())
        await world.signing.reread(config)
        if len(reading()) > before:
            attempts.append(world.now - 1_000)
        world.now += 5

    assert [0, 30, 90, 210, 450, 930, 1_890, 3_810, 7_410] == attempts[:9]
    assert 31 > len(attempts)


async def test_file_that_answers_late_is_no_noise(world: World, fifo: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    Hours later the mount is back, and the file is empty: nobody waits for it any more.
    """
    config = hanging(fifo)
    await world.signing.reread(config)
    late = world.signing._reading
    assert late
    os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))
    await asyncio.wait({late}, timeout=5)

    assert late.done()
    assert [] == caplog.records
    assert 1 == len(world.log.lines)


async def test_thread_that_cannot_be_started_is_a_file_that_cannot_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """
    At the limit of processes the trial is made all the same; the next one reads the file.
    """
    (tmp_path / "secret").write_text("old")
    config = config_of("zego_rtc", tmp_path, server_secret_file="secret")
    (tmp_path / "secret").write_text("new")

    def refuse(_: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert config is await world.signing.reread(config)
    assert "can't start new thread" in str(world.log.lines[0].values["error"])
    assert ("new",) == (await world.signing.reread(config)).source.secrets()


def hanging(fifo: Path) -> SourceConfig:
    """A source whose secret was a file when it was read, and is a pipe without a writer now."""
    replace(fifo, "old")
    config = config_of("zego_rtc", fifo.parent, server_secret_file="secret")
    put_back(fifo)
    return config


def replace(fifo: Path, text: str) -> None:
    """Put a file in the pipe's place, for a while."""
    fifo.rename(fifo.with_name("aside"))
    fifo.write_text(text)


def put_back(fifo: Path) -> None:
    """Put the pipe where it was."""
    fifo.with_name("aside").rename(fifo)


def test_time_that_nothing_can_be_signed_with_is_dropped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A vendor's time is no reason to stand still: calls are stamped with our own time again, and one line tells of it.
    """
    config = config_of()
    world.replied(ahead=3_600)
    world.signing.request(config, ["a"])
    assert world.signing.refused()
    request = type(config.codec).request

    def choosy(codec: object, source: object, auth: object, rooms: object, stamp: Stamp) -> Request:
        if stamp.time > NOW + 60:
            raise OverflowError("date value out of range")
        return request(codec, source, auth, rooms, stamp)  # type: ignore[arg-type]

    monkeypatch.setattr(type(config.codec), "request", choosy)

    assert int(NOW) == stamp(world.signing.request(config, ["a"]))
    assert 0.0 == world.signing.skew.shift
    assert "signing failed with the vendor's time: stamping calls with our own time" == world.events()[-1]
    assert int(NOW) == stamp(world.signing.request(config, ["a"]))
    assert 1 == world.events().count("signing failed with the vendor's time: stamping calls with our own time")
