"""
What requests meet: passwords on every path, headers, the rate limit, and files that change, vanish or hang.
"""

from __future__ import annotations

import asyncio
import os
import time

import aiohttp
import pytest

from exporter.web.security import guard as module
from exporter.web.security.rate_limit import TokenBucket
from tests.web.security.asking import Answer, ask
from tests.web.security.house import HASH, PASSWORD, USERS, House
from tests.web.site import Site

LOGIN = "prometheus", PASSWORD
AUTHORIZATION = {"Authorization": aiohttp.encode_basic_auth(*LOGIN)}


async def asked(site: Site, login: tuple[str, str] | None = None, path: str = "/-/healthy") -> Answer:
    """
    What a new connection is answered.
    """
    return await asyncio.to_thread(ask, site.server.port, None, login, path)


async def test_everything_is_guarded(tmp_path):
    """
    Without a password there is nothing: no metrics, no page, no probe, not even whether a path exists.
    """
    house = House(tmp_path, USERS)
    async with Site(config_file=house.file, lifecycle=True) as site, aiohttp.ClientSession(site.server.url) as client:
        for method, path in (
            ("GET", "/"),
            ("GET", "/metrics"),
            ("GET", "/-/healthy"),
            ("GET", "/-/ready"),
            ("POST", "/-/reload"),
            ("GET", "/api/v1/rooms"),
            ("GET", "/static/page.css"),
            ("GET", "/docs"),
            ("GET", "/nothing"),
            ("OPTIONS", "/metrics"),
        ):
            async with client.request(method, path) as answer:
                assert (401, "Unauthorized\n") == (answer.status, await answer.text())
                assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert 0 == site.reloads
        async with client.get("/metrics", headers=AUTHORIZATION) as answer:
            assert 200 == answer.status
            assert "rtc_exporter_web_config_last_reload_successful 1.0\n" in await answer.text()


async def test_a_changed_password_counts_from_the_next_request_on(tmp_path):
    """
    On connections that stand, too.
    """
    house = House(tmp_path, USERS)
    async with Site(config_file=house.file) as site, aiohttp.ClientSession(site.server.url) as client:
        async with client.get("/-/healthy", headers=AUTHORIZATION) as answer:
            assert 200 == answer.status
        house.write(USERS.replace("prometheus", "other"))
        async with client.get("/-/healthy", headers=AUTHORIZATION) as answer:
            assert 401 == answer.status
        house.write("{}\n")
        async with client.get("/-/healthy") as answer:
            assert 200 == answer.status
        assert "nothing" == site.log.calls[-1].kwargs["guards"]


async def test_headers_of_the_file_win(tmp_path):
    """
    Every answer carries them, a refusal too; where the exporter has one of its own, the file's is sent instead.
    """
    headers = {
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "X-Frame-Options": "deny",
        "X-XSS-Protection": "1",
        "Content-Security-Policy": "default-src 'self'",
    }
    lines = "".join(f'    {name}: "{value}"\n' for name, value in headers.items())
    house = House(tmp_path, f"http_server_config:\n  headers:\n{lines}{USERS}")
    async with Site(config_file=house.file) as site:
        for login in (None, LOGIN):
            answer = await asked(site, login)
            assert headers == {name: answer.headers[name] for name in headers}
            assert "nosniff" == answer.headers["X-Content-Type-Options"]


async def test_too_many_requests_are_told_so(tmp_path):
    """
    A burst is answered, the next one is not, until the interval has passed; a new limit counts at once.
    """
    house = House(tmp_path, "rate_limit: {interval: 10s, burst: 3}\n")
    async with Site(config_file=house.file) as site:
        assert [200, 200, 200, 429] == [(await asked(site)).status for _ in range(4)]
        site.pass_time(10)
        assert [200, 429] == [(await asked(site)).status for _ in range(2)]
        house.write("rate_limit: {interval: 0, burst: 0}\n")
        assert 200 == (await asked(site)).status


def test_a_bucket_holds_no_more_than_its_burst():
    """
    However long nobody came.
    """
    now = [0.0]
    bucket = TokenBucket(0.5, 2, lambda: now[0])
    now[0] = 1_000.0

    assert [True, True, False] == [bucket.take() for _ in range(3)]
    now[0] += 0.49
    assert not bucket.take()
    now[0] += 0.02
    assert bucket.take()


async def test_a_file_system_that_hangs_holds_up_one_request_for_a_moment(tmp_path, monkeypatch):
    """
    The config that held goes on to hold, later requests do not wait at all, and the metric says 0 meanwhile.
    """
    monkeypatch.setattr(module, "_CHECK_WITHIN", 0.2)
    house = House(tmp_path, USERS)
    async with Site(config_file=house.file) as site:
        house.file.unlink()
        os.mkfifo(house.file)
        try:
            started = time.monotonic()
            assert 200 == (await asked(site, LOGIN)).status
            assert time.monotonic() - started >= 0.2
            assert 0 == site.telemetry.web_config_ok
            started = time.monotonic()
            assert [401] * 10 == [(await asked(site)).status for _ in range(10)]
            assert time.monotonic() - started < 1.0
        finally:
            await asyncio.to_thread(house.file.write_text, USERS)
        house.write(USERS)
        async with asyncio.timeout(60):
            while not site.telemetry.web_config_ok:  # the look that hung has to come back first
                assert 200 == (await asked(site, LOGIN)).status


async def test_the_server_ends_while_a_file_hangs(tmp_path, monkeypatch):
    """
    Nobody waits for it.
    """
    monkeypatch.setattr(module, "_CHECK_WITHIN", 0.1)
    house = House(tmp_path, USERS)
    site = Site(config_file=house.file)
    async with site:
        house.file.unlink()
        os.mkfifo(house.file)
        await asked(site, LOGIN)
        started = time.monotonic()
    assert time.monotonic() - started < 2.0
    await asyncio.to_thread(house.file.write_text, USERS)


async def test_no_hash_and_no_password_is_logged(tmp_path):
    """
    Neither when the file is read, nor when it is wrong, nor when somebody fails.
    """
    house = House(tmp_path, USERS)
    async with Site(config_file=house.file) as site:
        await asked(site, ("prometheus", "wrong horse"))
        house.write(USERS.replace("$", "$$"))
        await asked(site, LOGIN)
        house.write(USERS.replace("prometheus", "other"))
        await asked(site, LOGIN)
        logged = repr(site.log.calls)
        assert "web config not reloaded" in logged
        for secret in (HASH, HASH[7:], PASSWORD, "wrong horse"):
            assert secret not in logged
            assert secret not in repr(site.server.config)


async def test_a_bug_while_looking_opens_nothing(tmp_path, monkeypatch):
    """
    It is counted and logged, and the password is asked for as before.
    """

    def broken(*_: object) -> None:
        raise RuntimeError("deep inside")

    async with Site(config_file=House(tmp_path, USERS).file) as site:
        monkeypatch.setattr(module, "_load_if_changed", broken)
        assert 401 == (await asked(site)).status
        assert 200 == (await asked(site, LOGIN)).status
        assert 2 == site.telemetry.unexpected_errors
        assert 0 == site.telemetry.web_config_ok


@pytest.mark.parametrize(
    ("config", "guards", "anybody"),
    [
        ("{}", (), True),
        (USERS, ("passwords",), False),
        ("http_server_config: {http2: false}", (), True),
    ],
)
async def test_what_guards_the_port(tmp_path, config, guards, anybody):
    """
    In words, for whoever shows them.
    """
    async with Site(config_file=House(tmp_path, config).file) as site:
        assert guards == site.server.config.guards
        assert anybody is site.server.config.lets_in_anybody
