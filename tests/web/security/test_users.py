"""
Passwords: who is let in, what it costs, and what is remembered.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import threading
import time

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.web.security import users as module
from exporter.web.security.config import load_web_config
from exporter.web.security.users import CACHED, WAITING_OF_ONE_ADDRESS, Passwords, Verdict
from tests.web.security.rows import DATA

HASHES = load_web_config(DATA / "web_config_users_noTLS.good.yml").users
FAKE = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"
"""What the toolkit compares with for unknown users; it is a hash of "fakepassword"."""


class Comparisons:
    """
    Stands in for bcrypt: every password is right that equals the hash, or what `right` says of it.
    """

    def __init__(self, takes: float = 0.0) -> None:
        self.made: list[bytes] = []
        self.at_once = self.most_at_once = 0
        self._takes = takes
        self._lock = threading.Lock()

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        """
        Compare, slowly.
        """
        with self._lock:
            self.made.append(password)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self._takes)
        with self._lock:
            self.at_once -= 1
        return password == b"right"


USERS = {b"alice": bcrypt.hashpw(b"right", bcrypt.gensalt(4))}


def basic(user: str | bytes, password: str | bytes) -> str:
    """
    The header.
    """
    parts = [part.encode() if isinstance(part, str) else part for part in (user, password)]
    return "Basic " + base64.b64encode(b":".join(parts)).decode()


async def test_passwords_of_the_toolkit():
    """
    alice, carol and dave come in with their passwords; others, and the hash of nobody, do not, cached or not.
    """
    passwords = Passwords()
    for _ in range(2):
        for name in ("alice", "carol", "dave"):
            assert Verdict.ACCEPTED == await passwords.judge(basic(name, f"{name}123"), HASHES, "a")
        assert Verdict.UNKNOWN == await passwords.judge(basic("alice", "alice1234"), HASHES, "a")
        assert Verdict.UNKNOWN == await passwords.judge(basic("fakeuser", "fakepassword"), HASHES, "a")


async def test_the_cache_cannot_be_poisoned():
    """
    CVE-2022-46146: names, hashes and passwords that give the same text when joined are told apart.
    """
    passwords = Passwords()
    alice = HASHES[b"alice"].decode()

    for name, password in ((f"alice{alice}", "fakepassword"), ("alice", f"{FAKE}fakepassword")):
        assert Verdict.UNKNOWN == await passwords.judge(basic(name, password), HASHES, "a")


@settings(deadline=None)
@given(st.tuples(st.binary(), st.binary(), st.binary()), st.tuples(st.binary(), st.binary(), st.binary()))
def test_different_credentials_have_different_keys(one, other):
    """
    Whatever bytes they hold, separators included.
    """

    async def keys() -> tuple[bytes, bytes]:
        passwords = Passwords()
        return passwords._key(*one), passwords._key(*other)

    first, second = asyncio.run(keys())
    assert (one == other) is (first == second)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic YWxpY2U=",
        "Bearer abc",
        "basic\tYWxpY2U6cmlnaHQ=",
        "Basic " + "A" * 9_000,
        basic("alice", "wrong"),
        basic("Alice", "right"),
        basic("alice\0", "right"),
        basic("", "right"),
        basic(b"\xff\xfe", b"\xff"),
        basic("alice", "ri\0ght"),
    ],
)
async def test_everything_else_is_a_stranger(header):
    """
    A header that is none, another scheme, another name: no exception, and no entry.
    """
    assert Verdict.UNKNOWN == await Passwords().judge(header, USERS, "a")


@pytest.mark.parametrize("header", [basic("alice", "right"), basic("alice", "right").replace("Basic", "bASIC")])
async def test_the_scheme_is_read_in_any_case(header):
    """
    As RFC 9110 has it.
    """
    assert Verdict.ACCEPTED == await Passwords().judge(header, USERS, "a")


async def test_long_passwords_count_up_to_72_bytes():
    """
    As htpasswd and Go have it; the library alone would raise.
    """
    users = {b"alice": bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4))}

    assert Verdict.ACCEPTED == await Passwords().judge(basic("alice", "x" * 90), users, "a")


async def test_each_credential_is_compared_once_and_one_at_a_time():
    """
    Fifty requests with two passwords are two comparisons, which never run side by side, and the loop goes on.
    """
    comparisons = Comparisons(takes=0.05)
    passwords = Passwords(comparisons)
    headers = [basic("alice", "right"), basic("alice", "wrong")] * 25

    verdicts = asyncio.gather(*(passwords.judge(header, USERS, "a") for header in headers))
    turns = 0
    while not verdicts.done():
        await asyncio.sleep(0.005)
        turns += 1

    assert [Verdict.ACCEPTED, Verdict.UNKNOWN] * 25 == await verdicts
    assert 2 == len(comparisons.made)
    assert 1 == comparisons.most_at_once
    assert turns > 5


async def test_guesses_from_one_address_do_not_hold_up_another():
    """
    Only a few of an address wait; one more is told to come back, and another address is behind those few alone.
    """
    comparisons = Comparisons(takes=0.01)
    passwords = Passwords(comparisons)

    guesses = [
        asyncio.create_task(passwords.judge(basic("alice", f"guess {number}"), USERS, "stranger"))
        for number in range(100)
    ]
    await asyncio.sleep(0)
    assert Verdict.ACCEPTED == await passwords.judge(basic("alice", "right"), USERS, "prometheus")
    verdicts = await asyncio.gather(*guesses)

    assert WAITING_OF_ONE_ADDRESS == verdicts.count(Verdict.UNKNOWN)
    assert 100 - WAITING_OF_ONE_ADDRESS == verdicts.count(Verdict.TOO_MANY)
    assert WAITING_OF_ONE_ADDRESS + 1 == len(comparisons.made)
    assert Verdict.UNKNOWN == await passwords.judge(basic("alice", "again"), USERS, "stranger")


async def test_guesses_push_nobody_out_of_the_cache():
    """
    At most a hundred verdicts are kept, and wrong ones go first.
    """
    comparisons = Comparisons()
    passwords = Passwords(comparisons)
    await passwords.judge(basic("alice", "right"), USERS, "a")
    for number in range(CACHED + 20):
        await passwords.judge(basic("alice", f"guess {number}"), USERS, "b")
    comparisons.made.clear()

    assert Verdict.ACCEPTED == await passwords.judge(basic("alice", "right"), USERS, "a")
    assert [] == comparisons.made
    assert CACHED == len(passwords._verdicts)


async def test_a_cached_verdict_is_not_another_user_s():
    """
    After the hash has changed, the old password is compared anew, with or without forgetting.
    """
    passwords = Passwords()
    assert Verdict.ACCEPTED == await passwords.judge(basic("alice", "right"), USERS, "a")

    changed = {b"alice": bcrypt.hashpw(b"new", bcrypt.gensalt(4))}
    assert Verdict.UNKNOWN == await passwords.judge(basic("alice", "right"), changed, "a")
    assert Verdict.UNKNOWN == await passwords.judge(basic("alice", "right"), {b"bob": USERS[b"alice"]}, "a")


async def test_names_cannot_be_told_by_the_time():
    """
    An unknown name is compared with a hash of the same cost as the users' own.
    """
    seen = []

    def matches(_password: bytes, hashed: bytes) -> bool:
        seen.append(hashed)
        return bcrypt.checkpw(b"x", hashed)

    await Passwords(matches).judge(basic("nobody", "x"), USERS, "a")

    assert [4] == [module.cost(hashed) for hashed in seen]


async def test_without_a_thread_nobody_is_judged():
    """
    Where the system allows no more threads, the client is told to come back, and the next time counts.
    """
    lack = [OSError(errno.EAGAIN, "can't start new thread")]

    def matches(password: bytes, hashed: bytes) -> bool:
        if lack:
            raise lack.pop()
        return bcrypt.checkpw(password, hashed)

    passwords = Passwords(matches)

    assert Verdict.TOO_MANY == await passwords.judge(basic("alice", "right"), USERS, "a")
    assert Verdict.ACCEPTED == await passwords.judge(basic("alice", "right"), USERS, "a")


async def test_no_password_is_kept():
    """
    Only digests, of another salt in every process.
    """
    one, other = Passwords(), Passwords()
    for passwords in (one, other):
        await passwords.judge(basic("alice", "right"), USERS, "a")

    assert not set(one._verdicts) & set(other._verdicts)
    assert "right" not in repr(vars(one))
