"""
The call log.
"""

import gc

from exporter.simulator.calls import Call, CallLog
from exporter.simulator.exchange import Answered


def call(api="zego_rtc"):
    """
    Some call.
    """
    counts = (Answered("a", 1, 0, None, None),)
    return Call(0, 1.0, 2.0, 3.0, api, "DescribeUserNum", "1", "zego_rtc", "1", ("a",), "answer", 200, "0", counts)


def test_calls_are_numbered_and_the_oldest_forgotten():
    """
    The ring keeps as many as it can hold and says from which number on.
    """
    log = CallLog(3)
    assert (0, 1) == (log.last, log.oldest)

    numbers = [log.enter(call()).number for _ in range(5)]

    assert [1, 2, 3, 4, 5] == numbers
    assert [3, 4, 5] == [entry.number for entry in log]
    assert (5, 3, 3) == (log.last, log.oldest, len(log))


def test_calls_since_a_number():
    """
    After that number, of one API where one is named, not more than asked for.
    """
    log = CallLog(10)
    for number in range(14):
        log.enter(call("zego_rtc" if number % 2 else "tencent_im"))

    assert [5, 6, 7] == [entry.number for entry in log.since(0, limit=3)]
    assert [13, 14] == [entry.number for entry in log.since(12, limit=10)]
    assert [11, 13] == [entry.number for entry in log.since(10, limit=10, api="tencent_im")]
    assert [] == log.since(14, limit=10)
    assert call()._replace(number=14) == log.since(13, limit=1)[0]


def test_the_garbage_collector_has_nothing_to_look_at():
    """
    A long log costs no pauses: its rows are plain tuples of plain values, which are not tracked.
    """
    log = CallLog(10)
    log.enter(call())
    # Tuples are let go from the inside out, one layer a look.
    for _ in range(3):
        gc.collect()

    assert not gc.is_tracked(log._rows[0])
