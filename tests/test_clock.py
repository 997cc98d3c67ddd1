"""
The one clock.
"""

from __future__ import annotations

import re
import time

import pytest

from exporter.clock import Clock, monotonic


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="there is no clock here that counts suspend")
def test_monotonic_time_counts_suspend():
    """
    A reading from before an hour's sleep of the machine is an hour old: the time since boot is what counts.
    """
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = monotonic()
    after = time.clock_gettime(time.CLOCK_BOOTTIME)

    assert before <= now <= after


def test_the_kernel_is_asked_for_that_clock(monkeypatch):
    """
    This machine may never have slept, so that two clocks agree by chance.
    """
    wanted = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    monkeypatch.setattr(time, "clock_gettime", lambda asked: {wanted: 42.0}[asked])

    assert 42.0 == monotonic()
    assert 42.0 == Clock().monotonic()


def test_clock_is_the_systems():
    """
    Unix time, jitter within its bounds, and nonces of which no two are the same.
    """
    real = Clock()

    assert time.time() == pytest.approx(real.unix(), abs=5)
    assert all(2.0 <= real.uniform(2.0, 3.0) <= 3.0 for _ in range(100))
    nonces = {real.nonce() for _ in range(1_000)}
    assert 1_000 == len(nonces)
    assert all(re.fullmatch("[0-9a-f]{16}", nonce) for nonce in nonces)
