"""
Nonces are good once.
"""

from exporter.simulator.nonces import REMEMBERED_FOR, Nonces
from tests.simulator.conftest import FakeClock


def test_a_nonce_is_remembered_for_as_long_as_its_timestamp_could_pass(monkeypatch):
    """
    Twenty minutes at least, whatever comes in between; then the memory is given back.
    """
    clock = FakeClock()
    nonces = Nonces(clock.as_clock())

    assert nonces.spend(1)
    clock.advance(REMEMBERED_FOR - 1)
    assert nonces.spend(2)
    assert not nonces.spend(1)
    clock.advance(REMEMBERED_FOR - 1)
    assert not nonces.spend(2)
    clock.advance(2 * REMEMBERED_FOR)
    assert nonces.spend(1)
    assert nonces.spend(2)


def test_a_flood_does_not_fill_the_memory(monkeypatch):
    """
    Beyond the most, the oldest generation goes.
    """
    monkeypatch.setattr("exporter.simulator.nonces.MOST", 3)
    nonces = Nonces(FakeClock().as_clock())

    assert all(nonces.spend(number) for number in range(9))
    assert not nonces.spend(8)
    assert nonces.spend(1)
