"""The world of an app, as of the last update of its vendor's data."""

from exporter.simulator.population import State
from exporter.simulator.settings import Settings
from exporter.simulator.world import World


class Outlook:
    """
    The data of the vendors at one moment.

    Some APIs update their numbers of users every n seconds only, at multiples of n in Unix time. Whether a room exists
    they always know. A room created since the last update has 0 users until the next.
    """

    def __init__(self, world: World, settings: Settings, now: float) -> None:
        self._world, self._settings, self._now = world, settings, now

    def state(self, api: str, room: str) -> State:
        """The state of a room that the API reports."""
        state = self._world.state(api, room, self._now)
        refresh = self._settings.refresh_of(api)
        if not refresh or not state.exists:
            return state
        return self._world.state(api, room, self._now // refresh * refresh)._replace(exists=True)

    def rooms(self, api: str) -> list[str]:
        """The rooms that exist at this moment."""
        return [room for room in self._world.known(api) if self._world.exists(api, room, self._now)]
