"""The worlds of all apps. The same room id means different rooms in different apps."""

from functools import partial

from exporter.simulator.clock import Clock
from exporter.simulator.events import Event, EventLog, What
from exporter.simulator.population import State
from exporter.simulator.settings import Settings
from exporter.simulator.world import World


class Worlds:
    """
    One world for each app, made at its first use.

    The first app of every vendor has its rooms in the first world, the second app in the second world, and so on: an
    API never has two apps in one world. All worlds start with the same room ids, as if every app of a company had a
    `lobby`. But at any time a room's users differ from world to world, as long as the room exists.

    Attributes:
        events: The changes that tests made in all worlds.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.events = EventLog()
        self._settings, self._clock = settings, clock
        self._apps = settings.apps.ids()
        self._made: dict[int, World] = {}

    @property
    def first(self) -> World:
        """The world of every vendor's first app."""
        return self._world(0)

    def of(self, api: str, app: str) -> World:
        """
        The world of this app.

        Args:
            app: The app id as text.

        Raises:
            KeyError: The API's vendor has no such app.
        """
        apps = self._apps[api.partition("_")[0]]
        if app not in apps:
            raise KeyError(app)
        return self._world(apps.index(app))

    def app(self, api: str, app: str | None = None) -> str:
        """
        The id of that app; without one, of the vendor's first.

        Raises:
            ValueError: The API's vendor has no such app.
        """
        apps = self._apps[api.partition("_")[0]]
        if not apps or (app is not None and app not in apps):
            raise ValueError(f"app: {api} has no app {app!r}")
        return apps[0] if app is None else app

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
                changed=partial(self._note, number),
            )
        return self._made[number]

    def _note(self, number: int, api: str, room: str, before: State, after: State, at: float, opened: float) -> None:
        apps = self._apps[api.partition("_")[0]]
        if number >= len(apps):
            return
        what: What
        if before.exists is not after.exists:
            what = "open" if after.exists else "close"
        elif after.users != before.users:
            what = "join" if after.users > before.users else "leave"
        else:
            return
        self.events.enter(Event(0, at, api, apps[number], room, what, after.users, opened))
