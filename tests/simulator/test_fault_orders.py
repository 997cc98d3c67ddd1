"""
Orders for trouble: whom they mean, how often and how long they strike, and which make no sense.
"""

import pytest

from exporter.simulator import Fault
from exporter.simulator.faults import Faults
from tests.simulator.conftest import FakeClock


def test_faults_end():
    """
    After their duration, or when they are cleared.
    """
    clock = FakeClock()
    faults = Faults(clock.as_clock(), seed=1)
    first = faults.order(Fault(kind="reset", duration=10))
    second = faults.order(Fault(kind="latency", seconds=1))

    assert [first, second] == [order.number for order in faults.orders()]
    clock.advance(9.9)
    assert faults.effects("zego_rtc", "", ()).decisive is not None
    clock.advance(0.1)
    effects = faults.effects("zego_rtc", "", ())
    assert (None, 1.0) == (effects.decisive, effects.delay)
    faults.clear(second)
    assert [] == faults.orders()
    with pytest.raises(KeyError):
        faults.clear(second)


def test_faults_strike_whom_they_are_meant_for():
    """
    By API, by app, by room; those that decide a call, the oldest first.
    """
    faults = Faults(FakeClock().as_clock(), seed=1)
    faults.order(Fault(kind="reset", apis=frozenset({"zego_rtc"}), rooms=frozenset({"a"})))
    faults.order(Fault(kind="hang", app="1"))

    def struck(api, app, *rooms):
        decisive = faults.effects(api, app, rooms).decisive
        return decisive.kind if decisive else None

    assert "reset" == struck("zego_rtc", "1", "b", "a")
    assert "hang" == struck("zego_rtc", "1", "b")
    assert "hang" == struck("zego_zim", "1", "a")
    assert struck("zego_rtc", "2", "b") is None


def test_faults_strike_as_often_as_ordered():
    """
    A tenth of the calls, and the same ones for the same seed.
    """

    def strikes(seed):
        faults = Faults(FakeClock().as_clock(), seed)
        faults.order(Fault(kind="reset", probability=0.1))
        return [faults.effects("zego_rtc", "", ()).decisive is not None for _ in range(5000)]

    assert 400 < sum(strikes(1)) < 600
    assert strikes(1) == strikes(1)
    assert strikes(1) != strikes(2)


def test_modifiers_add_up():
    """
    Skews and delays are summed; they do not stand in the way of what decides the call.
    """
    faults = Faults(FakeClock().as_clock(), seed=1)
    for fault in (
        Fault(kind="clock_skew", seconds=-5),
        Fault(kind="clock_skew", seconds=2),
        Fault(kind="latency", seconds=1),
        Fault(kind="latency", seconds=2),
        Fault(kind="echo"),
        Fault(kind="revoked"),
        Fault(kind="cut"),
    ):
        faults.order(fault)

    effects = faults.effects("zego_rtc", "", ())

    assert (-3, 3, True, True) == (effects.skew, effects.delay, effects.echo, effects.revoked)
    assert effects.decisive is not None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "latency"}, "latency needs seconds"),
        ({"kind": "latency", "seconds": -1}, "seconds: -1 is negative"),
        ({"kind": "status"}, "status needs status"),
        ({"kind": "status", "status": 42}, "status: 42 is not between 200 and 599"),
        ({"kind": "code"}, "code needs code"),
        ({"kind": "code", "code": "InternalError"}, "'InternalError' is no number; only volcengine_rtc has"),
        ({"kind": "refused"}, "refused needs rooms"),
        ({"kind": "reset", "seconds": 1}, "reset has no use for seconds"),
        ({"kind": "echo", "form": "html"}, "echo has no use for form"),
        ({"kind": "reset", "apis": frozenset({"agora"})}, "apis: agora: unknown; known are zego_rtc"),
        ({"kind": "reset", "apis": frozenset()}, "apis: none named"),
        ({"kind": "reset", "probability": 0}, "probability: 0 is not above 0 and at most 1"),
        ({"kind": "reset", "probability": 1.1}, "probability: 1.1 is not"),
        ({"kind": "reset", "duration": -1}, "duration: -1 is negative"),
    ],
)
def test_orders_that_make_no_sense(wrong, message):
    """
    Each is refused with what is wrong with it.
    """
    with pytest.raises(ValueError, match=message):
        Fault(**wrong)
