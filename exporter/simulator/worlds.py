"""The worlds of all apps: whose room an id names depends on the app that is asked."""

from exporter.simulator.clock import Clock
from exporter.simulator.settings import Settings
from exporter.simulator.world import World


class Worlds:
    """
    A world for each app, made when it is first asked for.

    The first app of every vendor has its rooms in the first world, the second app in the second world, and so on; no
    API has two apps in one world. All worlds begin with the same room ids, as when every app of a company has a
    `lobby`, but a room's users differ from world to world at every moment at which it exists.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._apps = settings.apps.ids()
        self._made: dict[int, World] = {}

    @property
    def first(self) -> World:
        """The world of every vendor's first app."""
        return self._world(0)

    def of(self, api: str, app: str) -> World:
        """
        The world in which this app's rooms are.

        Args:
            app: The app id as text.

        Raises:
            KeyError: The API's vendor has no such app.
        """
        apps = self._apps[api.partition("_")[0]]
        if app not in apps:
            raise KeyError(app)
        return self._world(apps.index(app))

    def _world(self, number: int) -> World:
        if number not in self._made:
            settings = self._settings
            self._made[number] = World(
                seed=settings.seed,
                rooms=settings.rooms,
                clock=self._clock,
                churn=settings.churn,
                number=number,
                of=max(len(apps) for apps in self._apps.values()),
            )
        return self._made[number]
