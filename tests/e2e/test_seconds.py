"""
Sliding seconds.
"""

from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.seconds import OverfullSecond, fullest, overfull

# Sixteenths of a second: sums are exact, so that a call just one second later is just that.
moments = st.lists(st.integers(0, 100).map(lambda sixteenths: sixteenths / 16), max_size=100)


def test_a_second_that_holds_one_call_too_many():
    """
    The eleventh call within a second is one too many; one that comes a full second after the first is not.
    """
    early = [10 + call / 10 for call in range(10)]

    assert [] == overfull([*early, 11.0], lambda _: 10)
    assert [OverfullSecond(10.99 - 1, 10.99, 11, 10)] == overfull([*early, 10.99], lambda _: 10)


def test_what_is_allowed_may_change():
    """
    Each second is held to what is allowed in it.
    """
    arrivals = [0.1, 0.2, 0.3, 5.1, 5.2, 5.3]

    found = overfull(arrivals, lambda second: 3 if second.end < 3 else 2)

    assert [(5.3, 3, 2)] == [(second.end, second.calls, second.allowed) for second in found]


@given(moments)
def test_the_fullest_second_is_the_worst_there_was(arrivals):
    """
    The most calls in any (t - 1, t], whatever the order in which they are told.
    """
    worst = max((sum(end - 1 < moment <= end for moment in arrivals) for end in arrivals), default=0)

    assert worst == fullest(arrivals)
