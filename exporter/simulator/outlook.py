"""An app's world as its vendor's own data show it."""

from exporter.simulator.population import State
from exporter.simulator.settings import Settings
from exporter.simulator.world import World


class Outlook:
    """
    What the vendors know at one moment.

    An API that looks at its rooms every n seconds tells the number of users as of its last look, on the full n seconds
    of Unix time; whether a room exists it always knows. A room created since then counts 0 users until the next look.
    """

    def __init__(self, world: World, settings: Settings, now: float) -> None:
        self._world, self._settings, self._now = world, settings, now

    def state(self, api: str, room: str) -> State:
        """What the API answers of this room."""
        state = self._world.state(api, room, self._now)
        refresh = self._settings.refresh_of(api)
        if not refresh or not state.exists:
            return state
        return self._world.state(api, room, self._now // refresh * refresh)._replace(exists=True)

    def rooms(self, api: str) -> list[str]:
        """The rooms that exist at this moment."""
        return [room for room in self._world.known(api) if self._world.exists(api, room, self._now)]
