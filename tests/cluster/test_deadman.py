"""
The kernel ends a process that stood still past its lease.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from tests.deploy.project import ROOT

pytestmark = pytest.mark.timed

HOLDS = """
import sys, time
from exporter.cluster.deadman import Deadman

deadman = Deadman()
deadman.arm({seconds})
{then}
print("armed", flush=True)
for _ in range(20):
    time.sleep(0.1)
    {each}
print("alive", flush=True)
"""


def run(seconds: float, then: str = "", each: str = "pass") -> subprocess.Popen[bytes]:
    """A process with a lease."""
    code = HOLDS.format(seconds=seconds, then=then, each=each)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    assert b"armed\n" == process.stdout.readline()
    return process


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Exit code, and what it said last."""
    rest, _ = process.communicate(timeout=20)
    return process.returncode, rest


def test_a_frozen_process_ends_when_it_is_thawed():
    """
    Stopped before its lease ends and continued later, it runs no more of its code.
    """
    process = run(0.8)
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.2)
    process.send_signal(signal.SIGCONT)

    assert (-signal.SIGALRM, b"") == ended(process)


def test_a_renewed_lease_keeps_it_alive():
    """
    The timer is set anew at each exchange, and taken away when nothing is held.
    """
    assert (0, b"alive\n") == ended(run(0.5, each="deadman.arm(0.5) if _ < 10 else deadman.clear()"))


def test_the_end_after_a_signal_stays():
    """
    Neither a longer lease nor its end puts off the end within some seconds of SIGTERM.
    """
    ends = "from exporter import alarm; alarm.end_within('signal', 0.7)"

    assert (-signal.SIGALRM, b"") == ended(run(60.0, ends))
    assert (-signal.SIGALRM, b"") == ended(run(60.0, ends, each="deadman.clear()"))
