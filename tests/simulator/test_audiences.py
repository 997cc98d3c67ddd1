"""
The rooms that a bench of the cadence is run on are those that its generator describes.
"""

from exporter.simulator.audiences import audiences


def test_the_same_seed_gives_the_same_rooms():
    """
    And a longer population of the same seed begins with the same rooms.
    """
    assert audiences(1, 40, 600.0) == audiences(1, 60, 600.0)[:40]
    assert audiences(1, 40, 600.0) != audiences(2, 40, 600.0)


def test_the_population_is_as_described():
    """
    Some 70 % of the rooms are empty, few rooms have most of the users, crowds come and rooms close.
    """
    rooms = audiences(1, 3000, 3600.0)
    users = sorted(room.at(1800.0) for room in rooms)
    found = sum(max(room.users) >= 150 and room.users[0] == 0 for room in rooms)
    closed = sum(
        before >= 20 and after == 0 for room in rooms for before, after in zip(room.users, room.users[1:], strict=False)
    )

    assert 0.66 <= users.count(0) / 3000 <= 0.76
    assert sum(users[-30:]) >= sum(users) / 2
    assert 15 <= found <= 60
    assert 20 <= closed
    assert all(before < after for room in rooms for before, after in zip(room.times, room.times[1:], strict=False))
