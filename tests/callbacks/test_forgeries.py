"""
Whoever has no secret, or only an old request, brings no room to anybody's notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.callbacks import Result
from tests.callbacks.port import TOKEN, Port
from tests.callbacks.vendor import APPS, NOW, SECRET, USER, Callback, edited, of, tencent, volcengine, zego

EDITIONS = [300, pytest.param(10_000, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]
WORDS = (SECRET, TOKEN, USER)

apis = st.sampled_from(sorted(APPS))
numbers = st.integers(0, 10**6)
other_secrets = st.text(max_size=40).filter(lambda text: text != SECRET)
too_far = st.integers(601, 10**9) | st.integers(-(10**9), -601)


def forged(api: str, number: int, secret: str) -> Callback:
    """
    Signed with another secret.
    """
    return of(api, number, secret)


def tampered(api: str, number: int, at: int) -> Callback:
    """
    One digit of the signature is another one.
    """
    callback = of(api, number)
    text = callback.query or callback.body.decode()
    name = "Sign=" if callback.query else 'ignature": "'
    place = text.index(name) + len(name) + at
    text = text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :]
    return edited(callback, query=text) if callback.query else edited(callback, body=text.encode())


def changed(number: int, room: str) -> Callback:
    """
    Another room than Volcengine has signed.
    """
    body = of("volcengine_rtc", number).body.decode()
    return edited(of("volcengine_rtc", number), body=body.replace(f"room-{number}", f"x{room}").encode())


def stale(api: str, seconds: int) -> Callback:
    """
    Of another time, and signed.
    """
    if api.startswith("tencent"):
        command = "Group.CallbackAfterCreateGroup" if api == "tencent_im" else "Live.CallbackAfterCreateRoom"
        return tencent(command, query={"RequestTime": NOW + seconds})
    if api == "volcengine_rtc":
        return volcengine(EventTime=f"{2023 + (-1 if seconds < 0 else 1)}-01-01T00:00:00Z")
    return zego(api, timestamp=NOW + seconds)


def foreign(api: str, number: int) -> Callback:
    """
    Of another app that has the same secret.
    """
    if api.startswith("tencent"):
        return edited(of(api, number), query=of(api, number).query.replace("SdkAppid=14", "SdkAppid=24"))
    if api == "volcengine_rtc":
        return volcengine(AppId="661e000000000000000543c0")
    return zego(api, appid=number + 2)


def malformed(api: str, number: int, how: Callable[[bytes], bytes]) -> Callback:
    """
    Signed, where the signature does not cover it, and not as it should be.
    """
    return edited(of(api, number), body=how(of(api, number).body))


def oversized(api: str, number: int, size: int) -> Callback:
    """
    Signed, and longer than what is read.
    """
    return edited(of(api, number), body=of(api, number).body.ljust(65_537 + size))


mistakes = st.sampled_from(
    [
        lambda body: body[:-1],
        lambda body: body + b"}",
        lambda body: b"[" + body + b"]",
        lambda body: body[:-1] + b', "x": NaN}',
        lambda body: body[:-1] + b', "x": "\xff"}',
        lambda body: body[:-1] + b', "x": 1, "x": 1}',
        lambda body: body[:-1] + b', "x": ' + b"[" * 16 + b"]" * 16 + b"}",
        lambda body: body.decode().encode("utf-16"),
        lambda body: b"\xef\xbb\xbf" + body,
        lambda _: b"",
    ]
)
unwelcome: st.SearchStrategy[Any] = st.one_of(
    st.builds(forged, apis, numbers, other_secrets),
    st.builds(tampered, apis, numbers, st.integers(0, 39)),
    st.builds(changed, numbers, st.text(st.characters(codec="utf-8", exclude_characters='"\\'), max_size=9)),
    st.builds(stale, apis, too_far),
    st.builds(foreign, apis, numbers),
    st.builds(malformed, apis, numbers, mistakes),
    st.builds(oversized, apis, numbers, st.integers(0, 100_000)),
)


@pytest.mark.parametrize("examples", EDITIONS)
def test_nothing_comes_of_what_nobody_has_signed(examples: int) -> None:
    """
    Forged, changed, stale, foreign, malformed and oversized callbacks, and those of before: no hint, no error of ours,
    and no secret, token or user in the log, at whatever level.
    """
    with asyncio.Runner() as runner:
        port = Port()
        runner.run(port.__aenter__())
        for number, api in enumerate(sorted(APPS)):
            assert 200 == runner.run(port.send(of(api, number)))
        good = runner.run(port.rooms())
        port.log.lines.clear()

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(callback=unwelcome, replayed=st.integers(0, len(APPS) - 1))
        def holds(callback: Callback, replayed: int) -> None:
            port.now += 61  # so that each is logged
            assert runner.run(port.send(callback)) in {400, 403, 413}
            assert 200 == runner.run(port.send(of(sorted(APPS)[replayed], replayed)))
            assert good == runner.run(port.rooms())
            assert [] == port.log.at("error", "exception")
            assert not [word for word in WORDS if word in str(port.log)]
            port.log.lines.clear()

        try:
            holds()
            assert {Result.ACCEPTED: 1} == {
                result: number
                for result, number in port.results["zego_rtc"].items()
                if result in {Result.ACCEPTED, Result.IGNORED}
            }
        finally:
            runner.run(port.__aexit__(None, None, None))
