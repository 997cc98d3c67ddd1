"""The settings of a simulator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from exporter.simulator.apps import DEFAULT_APPS, Apps

APIS = ("zego_rtc", "zego_zim", "tencent_im", "tencent_live", "volcengine_rtc", "janus_videoroom")

DEFAULT_ROOMS: Mapping[str, int] = MappingProxyType(
    {
        "zego_rtc": 950,
        "zego_zim": 150,
        "tencent_im": 1500,
        "tencent_live": 2000,
        "volcengine_rtc": 350,
        "janus_videoroom": 200,
    }
)

DOCUMENTED_LIMITS: Mapping[str, int] = MappingProxyType(
    {
        "zego_rtc": 10,
        "zego_rtc/test": 1,
        "zego_rtc/DescribeRoomList": 20,
        "zego_zim": 20,
        "tencent_im": 200,
        "tencent_im/get_appid_group_list": 1,
        "tencent_live": 200,
        "tencent_live/get_room_list": 10,
        "volcengine_rtc": 40,
        "volcengine_rtc/property": 1,
        "volcengine_rtc/ListRoomInfo": 10,
        "janus_videoroom": 10,
    }
)
"""
Calls per sliding second. A name is an API, or one special call of an API. Each app (Volcengine: each access key) has
its own budget of each name. Janus has no limit; a proxy in front of it may have one.
"""

DOCUMENTED_REFRESH: Mapping[str, float] = MappingProxyType({"tencent_im": 10.0, "tencent_live": 40.0})
"""Seconds between two updates of an API's data. All other APIs are always up to date."""

DOCUMENTED_LIST_LAG: Mapping[str, float] = MappingProxyType({"volcengine_rtc": 20.0})
"""Seconds that an API's list is behind. Of the others nothing is documented; theirs are not."""


@dataclass(frozen=True, slots=True)
class Settings:
    """
    Attributes:
        seed: The same seed gives the same rooms, the same users at the same times, and the same random faults.
        rooms: Number of rooms of each app at the start, by API; an API that is not named has none.
        limits: Replaces entries of `DOCUMENTED_LIMITS`.
        refresh: Replaces entries of `DOCUMENTED_REFRESH`; 0 means always up to date.
        list_lag: Replaces entries of `DOCUMENTED_LIST_LAG`.
        churn: Share of rooms that are destroyed and created again over time, 0 to 1.
        strict_ids: Refuse ids that violate the documented alphabet or length. False refuses only empty ids and control
            characters.
        call_log: Number of calls that the log keeps.

    Raises:
        ValueError: An unknown name, or a number out of range.
    """

    seed: int = 1
    rooms: Mapping[str, int] = field(default_factory=lambda: DEFAULT_ROOMS)
    apps: Apps = DEFAULT_APPS
    limits: Mapping[str, int] = field(default_factory=dict)
    refresh: Mapping[str, float] = field(default_factory=dict)
    list_lag: Mapping[str, float] = field(default_factory=dict)
    churn: float = 0.15
    strict_ids: bool = True
    call_log: int = 50_000

    def __post_init__(self) -> None:
        _check_numbers("rooms", self.rooms, known=APIS, least=0)
        _check_numbers("limits", self.limits, known=tuple(DOCUMENTED_LIMITS), least=0)
        _check_numbers("refresh", self.refresh, known=APIS, least=0)
        _check_numbers("list_lag", self.list_lag, known=APIS, least=0)
        if not 0 <= self.churn <= 1:
            raise ValueError(f"churn: {self.churn!r} is not between 0 and 1")
        if self.call_log < 1:
            raise ValueError(f"call_log: {self.call_log!r} is not a positive number of calls")

    def limit(self, name: str) -> int:
        """The limit of this name, in calls per sliding second."""
        return self.limits.get(name, DOCUMENTED_LIMITS[name])

    def refresh_of(self, api: str) -> float:
        """Seconds between two updates of an API's data; 0: always up to date."""
        return self.refresh.get(api, DOCUMENTED_REFRESH.get(api, 0.0))

    def list_lag_of(self, api: str) -> float:
        """Seconds that the API's list of rooms is behind."""
        return self.list_lag.get(api, DOCUMENTED_LIST_LAG.get(api, 0.0))


def _check_numbers(what: str, given: Mapping[str, float], *, known: tuple[str, ...], least: float) -> None:
    for name, number in given.items():
        if name not in known:
            raise ValueError(f"{what}: unknown name {name!r}; known are {', '.join(known)}")
        if number < least:
            raise ValueError(f"{what}: {name} is {number!r}, less than {least}")
