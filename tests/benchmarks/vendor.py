"""The simulated vendors as the runner sees them: their address, their apps, and what they counted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

from exporter.simulator import DEFAULT_APPS
from exporter.simulator.room_ids import sample
from tests.benchmarks.program import Program

ZEGO_SECRET: Final = "0123456789abcdef0123456789abcdef"
_SEED: Final = 1

CREDENTIALS: Final[Mapping[str, dict[str, object]]] = {
    "zego_rtc": {"app_id": DEFAULT_APPS.zego[0].app_id, "server_secret": DEFAULT_APPS.zego[0].server_secret},
    "zego_zim": {"app_id": DEFAULT_APPS.zego[0].app_id, "server_secret": DEFAULT_APPS.zego[0].server_secret},
    "tencent_im": {
        "sdk_app_id": DEFAULT_APPS.tencent[0].sdk_app_id,
        "identifier": DEFAULT_APPS.tencent[0].identifier,
        "secret_key": DEFAULT_APPS.tencent[0].secret_key,
    },
    "volcengine_rtc": {
        "app_id": DEFAULT_APPS.volcengine[0].app_id,
        "access_key_id": DEFAULT_APPS.volcengine[0].access_key_id,
        "secret_access_key": DEFAULT_APPS.volcengine[0].secret_access_key,
    },
}


def zego_app_id(number: int) -> int:
    """The id of one of many ZEGO apps, which share a secret."""
    return 2_000_000_001 + number


def rooms_of(api: str, count: int) -> list[str]:
    """Rooms that exist at the vendor."""
    return sample(api, count, _SEED)


class Vendor(Program):
    """The process of the simulated vendors."""

    @classmethod
    def start(cls, rooms: Mapping[str, int], limits: Mapping[str, int] | None = None, zego_apps: int = 0) -> Self:
        """Vendors with so many rooms per API, and other limits than the documented ones where given."""
        wanted = {"rooms": dict(rooms), "limits": dict(limits or {}), "zego_apps": zego_apps}
        return cls.python("servers.vendor", json.dumps(wanted))

    @property
    def url(self) -> str:
        """The address of all APIs."""
        return self.first_line

    def counted(self) -> dict[tuple[str, str], Counted]:
        """What every budget has counted since the records were forgotten, by limit and holder."""
        return {(told["name"], told["holder"]): Counted(told) for told in json.loads(self.order("report"))}

    def forget(self) -> None:
        """Count from zero."""
        self.order("forget")


class Counted:
    """
    What the vendor says of one budget.

    Args:
        told: Its report.
    """

    def __init__(self, told: dict[str, Any]) -> None:
        self.limit: int = told["limit"]
        self.calls: int = told["calls"]
        self.rejected: int = told["rejected"]
        self.worst: int = told["worst"]


def worst_excess(counts: Iterable[Counted]) -> int:
    """By how many calls the worst second of any budget was over its limit."""
    return max(max(0, counted.worst - counted.limit) for counted in counts)
