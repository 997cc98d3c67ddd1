"""
Somebody who changes the exporter's config while it runs, in every way that an operator does, and reloads each time.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from exporter.simulator.settings import APIS, DOCUMENTED_LIMITS
from tests.e2e.call_book import Budget
from tests.e2e.certificates import Certificates
from tests.e2e.monitoring import settled
from tests.e2e.oracle import Config, Timeline, Watched
from tests.e2e.process import ExporterProcess
from tests.e2e.vendors import Vendors

LOWERED = 0.8
"""Share of the documented limit that is left when it is lowered."""

FEWEST_LISTED = 520
"""Rooms that a rooms file holds at least: more than are taken over in one step."""

_SECRETS = {
    "zego": "server_secret",
    "tencent": "secret_key",
    "volcengine": "secret_access_key",
    "janus": "admin_secret",
}
_LAST_APP = {"zego": 1, "tencent": 1, "volcengine": 2, "janus": 1}


@dataclass(frozen=True, slots=True)
class Source:
    """
    A source as the operator wants it.

    Attributes:
        app: Place of its app among the vendor's.
        rooms: In the config.
        listed: In a rooms file of its own; none: no such file.
        interval, timeout: Seconds.
        tls: It calls the vendors' other address, and trusts the authority in the CA file.
        longest: Seconds; its rooms have intervals of their own up to this. 0: they have not.
        secret: Another one than the app's.
        publish: Which of its rooms have series; empty: all.
    """

    api: str
    rooms: tuple[str, ...]
    interval: float
    timeout: float
    app: int = 0
    listed: tuple[str, ...] = ()
    tls: bool = False
    secret: str = ""
    publish: Mapping[str, int] = field(default_factory=dict)
    longest: float = 0.0

    @property
    def vendor(self) -> str:
        """Whose API it is."""
        return self.api.partition("_")[0]

    @property
    def all_rooms(self) -> frozenset[str]:
        """However they are watched."""
        return frozenset((*self.rooms, *self.listed))

    @property
    def max_staleness(self) -> float:
        """
        Seconds: three intervals, as a source has by default. Where rooms have intervals of their own: as long as a
        reading may be published, rounded up, while rooms are late.
        """
        return 2 * max(30.0, 3 * self.longest) if self.longest else 3 * self.interval


@dataclass(frozen=True, slots=True)
class Wishes:
    """
    Everything that the operator decides.

    Attributes:
        limits: Calls per second, by API and place of the app. At Volcengine all apps share the first one's.
        secrets: Of apps whose secret is not the one that they began with, by vendor and place of the app.
    """

    sources: Mapping[str, Source]
    limits: Mapping[tuple[str, int], int] = field(default_factory=dict)
    secrets: Mapping[tuple[str, int], str] = field(default_factory=dict)

    def limit(self, api: str, app: int) -> int:
        """Calls per second."""
        return self.limits.get((api, 0 if api == "volcengine_rtc" else app), DOCUMENTED_LIMITS[api])

    def without(self, name: str) -> Wishes:
        """The same without that source."""
        return replace(self, sources={other: source for other, source in self.sources.items() if other != name})

    def having(self, sources: Mapping[str, Source]) -> Wishes:
        """The same with these sources added, or in the place of those of their names."""
        return replace(self, sources={**self.sources, **sources})


class Operator:
    """
    Changes the config again and again; each change puts right first what the one before has spoilt.

    A source's name says what may happen to it. One that is called like its API keeps all but its limit. `….second`
    gets other rooms and secrets, `….wanders` goes from one app to the other, too, and `….passing` comes and goes.

    Attributes:
        timeline: What the exporter may be at, as far as it was told.
        wishes: What was wished last.
        done: How often each kind of change was made.
        refused: What the exporter said when it did not want to reload.
    """

    def __init__(
        self,
        vendors: Vendors,
        exporter: ExporterProcess,
        certificates: Certificates,
        wishes: Wishes,
        dice: random.Random,
    ) -> None:
        self.timeline = Timeline({})
        self.wishes = wishes
        self.done: Counter[str] = Counter()
        self.refused: list[str] = []
        self._vendors, self._exporter, self._certificates = vendors, exporter, certificates
        self._dice = dice
        self._reloading = asyncio.Lock()
        self._kinds: dict[str, Callable[[], Awaitable[object]]] = {
            "rooms": self._change_rooms,
            "apps": self._switch_apps,
            "limits": self._change_a_limit,
            "wrong secret": self._spoil_a_secret,
            "new secret": self._rotate_a_secret,
            "new authority": self._renew_the_authority,
            "sources": self._add_or_remove_a_source,
            "publish": self._publish_other_rooms,
            "broken config": self._break_the_config,
        }

    async def begin(self) -> None:
        """Start the exporter with what is wished, and wait until it is at work."""
        self.timeline.order(_config(self._vendors, self.wishes))
        self.write()
        await self._exporter.start()
        assert 200 == await settled(200, self._status_of_readiness, within=30)
        self.timeline.done()

    async def work(self, every: float) -> None:
        """Until cancelled, change something about that often, in seconds."""
        bag: list[str] = []
        while True:
            await asyncio.sleep(every * self._dice.uniform(0.7, 1.3))
            if not bag:
                # The switch is what goes wrong most easily.
                bag = [*self._kinds, "apps"]
                self._dice.shuffle(bag)
            await self.change(bag.pop())

    async def change(self, kind: str) -> None:
        """Make one change of that kind; what the last one has spoilt is mended by it."""
        async with self._reloading:
            await self._kinds[kind]()
            self.done[kind] += 1

    async def reload(self) -> None:
        """Reload with nothing changed."""
        async with self._reloading:
            await self._carry_out(self.wishes)

    async def settle(self) -> None:
        """Mend what is spoilt, lift limits that were lowered, and reload a last time."""
        async with self._reloading:
            await self._carry_out(replace(self._mended(), limits={}))

    def write(self) -> None:
        """Write the config and the rooms files."""
        for name, source in self.wishes.sources.items():
            if source.listed:
                _replace(self._rooms_file(name), "\n".join(source.listed) + "\n")
        _replace(self._exporter.config_file, self._text())

    async def _carry_out(self, wishes: Wishes) -> None:
        before, self.wishes = self.wishes, wishes
        for (api, app), holder in self._budgets():
            if wishes.limit(api, app) > before.limit(api, app):
                self._vendors.calls.change_limit(Budget(api, holder), wishes.limit(api, app), time.monotonic())
        self.timeline.order(_config(self._vendors, wishes))
        self.write()
        status, reason = await self._exporter.text("/-/reload", method="POST")
        if status != 200:
            self.refused.append(f"{status}: {reason}")
        self.timeline.done()
        for (api, app), holder in self._budgets():
            if wishes.limit(api, app) < before.limit(api, app):
                self._vendors.calls.change_limit(Budget(api, holder), wishes.limit(api, app), time.monotonic())

    async def _status_of_readiness(self) -> int:
        return (await self._exporter.text("/-/ready"))[0]

    def _mended(self) -> Wishes:
        """The present wishes, every secret right."""
        right = {name: replace(source, secret="") for name, source in self.wishes.sources.items()}
        return replace(self.wishes, sources=right)

    def _budgets(self) -> list[tuple[tuple[str, int], str]]:
        """Each API and place of an app, and who holds its limit."""
        accounts = [app.access_key_id for app in self._vendors.settings.apps.volcengine]
        return [
            ((api, app), accounts[app] if api == "volcengine_rtc" else self._vendors.app(api, app))
            for api in APIS
            for app in range(_LAST_APP[api.partition("_")[0]] + 1)
        ]

    async def _change_rooms(self) -> None:
        """Some sources watch other rooms, in the config and in their files."""
        wishes = self._mended()
        changing = [name for name in wishes.sources if "." in name]
        chosen = {name for name in changing if self._dice.random() < 0.5 or wishes.sources[name].listed}
        await self._carry_out(wishes.having({name: self._other_rooms(wishes.sources[name]) for name in chosen}))

    async def _switch_apps(self) -> None:
        """Every wanderer goes to the other app, where many of its rooms' ids exist as well."""
        wishes = self._mended()
        wandering = {name: source for name, source in wishes.sources.items() if name.endswith(".wanders")}
        await self._carry_out(
            wishes.having(
                {name: replace(self._other_rooms(source), app=1 - source.app) for name, source in wandering.items()}
            )
        )

    async def _publish_other_rooms(self) -> None:
        """Wanderers publish all of their rooms, few, or those with users."""
        wishes = self._mended()
        choices: list[Mapping[str, int]] = [{}, {"top": 5}, {"top": 40}, {"min_users": 3}]
        wandering = {name: source for name, source in wishes.sources.items() if name.endswith(".wanders")}
        await self._carry_out(
            wishes.having(
                {name: replace(source, publish=self._dice.choice(choices)) for name, source in wandering.items()}
            )
        )

    async def _change_a_limit(self) -> None:
        """An app's limit is lowered, or lifted again."""
        wishes = self._mended()
        api = self._dice.choice(APIS)
        app = 0 if api == "volcengine_rtc" else self._dice.choice((0, 1))
        lowered = int(LOWERED * DOCUMENTED_LIMITS[api])
        limit = DOCUMENTED_LIMITS[api] if wishes.limit(api, app) == lowered else lowered
        await self._carry_out(replace(wishes, limits={**wishes.limits, (api, app): limit}))

    async def _spoil_a_secret(self) -> None:
        """A source is given a wrong secret, until the next change."""
        wishes = self._mended()
        name = self._dice.choice([name for name in wishes.sources if "." in name])
        await self._carry_out(wishes.having({name: replace(wishes.sources[name], secret="f" * 32)}))

    async def _rotate_a_secret(self) -> None:
        """A vendor's last app gets a new secret; the sources that still have the old one get it a moment later."""
        wishes = self._mended()
        vendor = self._dice.choice(list(_SECRETS))
        app = _LAST_APP[vendor]
        secret = f"{self._dice.getrandbits(128):032x}"
        order = {"vendor": vendor, "app": self._vendors.app(vendor, app), "secret": secret}
        await self._vendors.post("secrets", order)
        await asyncio.sleep(0.5)
        await self._carry_out(replace(wishes, secrets={**wishes.secrets, (vendor, app): secret}))

    async def _renew_the_authority(self) -> None:
        """The vendors' certificate and the CA file are another authority's; the config is as it was."""
        self._vendors.renew_certificates()
        await self._carry_out(self._mended())

    async def _add_or_remove_a_source(self) -> None:
        """A source that was not there is added, or the one that was added is removed."""
        wishes = self._mended()
        passing = [name for name in wishes.sources if name.endswith(".passing")]
        if passing:
            await self._carry_out(wishes.without(passing[0]))
            return
        wanderer = self._dice.choice([name for name in wishes.sources if name.endswith(".wanders")])
        source = replace(wishes.sources[wanderer], listed=(), tls=False, app=self._dice.choice((0, 1)))
        await self._carry_out(wishes.having({f"{source.api}.passing": self._other_rooms(source)}))

    async def _break_the_config(self) -> None:
        """A config that is not valid is refused, and nothing changes."""
        _replace(self._exporter.config_file, "sources: [")
        status, _ = await self._exporter.text("/-/reload", method="POST")
        if status != 500:
            self.refused.append(f"a broken config was answered with {status}")
        self.write()

    def _other_rooms(self, source: Source) -> Source:
        """About as many rooms as before, some of them the same, and as for its file, so many that it takes a while."""
        known = self._vendors.world.room_ids(source.api)
        few = [room for room in known if room not in source.rooms]
        kept = [room for room in source.rooms if self._dice.random() < 0.7]
        rooms = kept + self._dice.sample(few, min(len(few), len(source.rooms) - len(kept)))
        if not source.listed:
            return replace(source, rooms=tuple(rooms))
        others = [room for room in known if room not in rooms]
        number = self._dice.randint(FEWEST_LISTED, min(len(others), FEWEST_LISTED + 100))
        return replace(source, rooms=tuple(rooms), listed=tuple(self._dice.sample(others, number)))

    def _text(self) -> str:
        return self._vendors.config(**{name: self._keys(name, source) for name, source in self.wishes.sources.items()})

    def _keys(self, name: str, source: Source) -> dict[str, object]:
        keys: dict[str, object] = {
            "api": source.api,
            "app": source.app,
            "interval": f"{source.interval}s",
            "timeout": f"{source.timeout}s",
            "rate_limit": str(self.wishes.limit(source.api, source.app)),
            "rooms": list(source.rooms),
        }
        secret = source.secret or self.wishes.secrets.get((source.vendor, source.app), "")
        if secret:
            keys[_SECRETS[source.vendor]] = secret
        if source.publish:
            keys["publish"] = {key: str(value) for key, value in source.publish.items()}
        if source.longest:
            keys["cadence"] = {"longest": f"{source.longest}s"}
        else:
            keys["max_staleness"] = f"{source.max_staleness}s"
        if source.listed:
            keys["rooms_files"] = [self._rooms_file(name).name]
        if source.tls:
            keys |= {"base_url": self._vendors.tls_url, "ca_file": str(self._certificates.ca_file)}
        return keys

    def _rooms_file(self, name: str) -> Path:
        return self._exporter.config_file.with_name(f"{name}.txt")


def _config(vendors: Vendors, wishes: Wishes) -> Config:
    return {
        name: Watched(
            source.api,
            vendors.app(source.api, source.app),
            source.all_rooms,
            max_staleness=source.max_staleness,
            timeout=source.timeout,
            publishes_all=not source.publish,
        )
        for name, source in wishes.sources.items()
    }


def _replace(file: Path, text: str) -> None:
    """Write it so that nobody ever reads half of it."""
    new = file.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(file)
