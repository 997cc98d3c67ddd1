"""The requests of the control API, strictly parsed."""

import math
from typing import Annotated, Literal

import msgspec

from exporter.simulator.apps import Vendor
from exporter.simulator.events import Event, What
from exporter.simulator.population import present
from exporter.simulator.settings import APIS
from exporter.simulator.world import World
from exporter.simulator.worlds import Worlds


class RoomOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Change a room from now on.

    Attributes:
        do: `set` (it exists and has these users), `create` (the same; one user by default), `destroy`, or `release`
            (it follows its curve again).
        app: The app id as text; None for the first app.

    Raises:
        ValueError: An unknown API, an empty room, or impossible numbers.
    """

    api: str
    room: str
    do: Literal["set", "create", "destroy", "release"]
    app: str | None = None
    users: int | None = None
    admin: int = 0
    invisible: int = 0

    def __post_init__(self) -> None:
        one_of("api", self.api, APIS)
        if not self.room:
            raise ValueError("room: empty")
        if self.do == "set" and self.users is None:
            raise ValueError("set needs users")
        if self.do in ("destroy", "release") and (self.users is not None or self.admin or self.invisible):
            raise ValueError(f"{self.do} has no use for users")
        if self.do in ("set", "create"):
            present(self.first_users, admin=self.admin, invisible=self.invisible)

    @property
    def first_users(self) -> int:
        """The users after the change."""
        return 1 if self.users is None else self.users


class LimitOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Allow `calls` per sliding second from now on; without a holder, for every app."""

    limit: str
    calls: int
    holder: str | None = None


class SecretOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give an app a new secret."""

    vendor: Vendor
    app: str
    secret: str


class DarknessOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Refuse all connections for so many seconds, an hour at most."""

    seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)]


class SendOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Send a callback as if that had happened to a room.

    Attributes:
        app: The app id as text; None: the first app's.
        opened: Unix seconds, when the room's life began; None: now.
        forged: Signed with another secret, and of a room that never was.

    Raises:
        ValueError: An unknown API, or an empty room.
    """

    api: str
    room: str
    what: What
    app: str | None = None
    opened: float | None = None
    forged: bool = False

    def __post_init__(self) -> None:
        one_of("api", self.api, APIS)
        if not self.room:
            raise ValueError("room: empty")

    def event(self, app: str, now: float) -> Event:
        """The event that the callback reports."""
        return Event(0, now, self.api, app, self.room, self.what, 1, now if self.opened is None else self.opened)


def carry_out(order: RoomOrder, world: World) -> None:
    """Change a room."""
    if order.do in ("set", "create"):
        world.set(order.api, order.room, order.first_users, admin=order.admin, invisible=order.invisible)
    elif order.do == "destroy":
        world.destroy(order.api, order.room)
    else:
        world.release(order.api, order.room)


def world_of(worlds: Worlds, api: str, app: str | None) -> World:
    """
    The world of this app; of the first app if none is given.

    Raises:
        ValueError: The API's vendor has no such app.
    """
    try:
        return worlds.first if app is None else worlds.of(api, app)
    except KeyError:
        raise ValueError(f"app: {api} has no app {app!r}") from None


def one_of(name: str, given: str | None, known: tuple[str, ...]) -> str:
    """
    Check that a word is one of the known ones.

    Raises:
        ValueError: It is missing or unknown.
    """
    if given not in known:
        raise ValueError(f"{name}: {'missing' if given is None else repr(given)}; known are {', '.join(known)}")
    return given


def whole(name: str, text: str, *, least: int, most: int) -> int:
    """
    Parse a whole number.

    Raises:
        ValueError: Not a whole number from `least` to `most`.
    """
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise ValueError(f"{name}: {text!r} is not a whole number from {least} to {most}")
    return int(text)


def moment(name: str, text: str | None) -> float:
    """
    Parse a time in Unix seconds.

    Raises:
        ValueError: It is missing or not a finite number.
    """
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name}: {'missing' if text is None else repr(text)}; Unix seconds are wanted")
    return number
