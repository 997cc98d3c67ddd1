"""The world of an app, as of the last update of its vendor's data."""

from exporter.simulator.listing import NO_TROUBLE, Life, ListTrouble
from exporter.simulator.population import State
from exporter.simulator.settings import Settings
from exporter.simulator.world import World


class Outlook:
    """
    The data of the vendors at one moment.

    Some APIs update their numbers of users every n seconds only, at multiples of n in Unix time. Whether a room exists
    they always know. A room created since the last update has 0 users until the next.

    Attributes:
        trouble: The faults of the lists.
    """

    def __init__(self, world: World, settings: Settings, now: float, trouble: ListTrouble = NO_TROUBLE) -> None:
        self._world, self._settings, self._now = world, settings, now
        self.trouble = trouble

    def state(self, api: str, room: str) -> State:
        """The state of a room that the API reports."""
        state = self._world.state(api, room, self._now)
        refresh = self._settings.refresh_of(api)
        if not refresh or not state.exists:
            return state
        return self._world.state(api, room, self._now // refresh * refresh)._replace(exists=True)

    def rooms(self, api: str) -> list[str]:
        """The rooms of the API's list."""
        return self._world.listed(api, self._listed_at(api))

    def crowded(self, api: str) -> list[tuple[str, int]]:
        """The rooms of the API's list that have users, and how many, the fullest first."""
        return self._world.crowded(api, self._listed_at(api))

    def listed_users(self, api: str, room: str) -> int:
        """The users of a room that the API's list tells."""
        return self._world.users(api, room, self._listed_at(api))

    def lives(self, api: str, start: float, end: float) -> list[Life]:
        """The rooms that opened between `start` and `end`, as the API's list shows them, by the time of opening."""
        at = self._listed_at(api)
        return [
            life if life.closed is None or life.closed <= at else life._replace(closed=None)
            for life in self._world.lives(api, start, min(end, at))
        ]

    def _listed_at(self, api: str) -> float:
        return self._now - self._settings.list_lag_of(api) - self.trouble.lag
