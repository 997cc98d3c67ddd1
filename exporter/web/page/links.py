"""
The targets of links: on the page and in Grafana. Links on the page are relative, so that it works behind a proxy that
adds a prefix to the path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from exporter.errors import UserError

_GRAFANA: Final = re.compile(
    r"https?://(?:\[[0-9a-f:.]+\]|[0-9a-z](?:[0-9a-z._-]*[0-9a-z])?)(?::[0-9]{1,5})?(?:/[0-9a-z._~/%-]*)?",
    re.ASCII | re.IGNORECASE,
)
_DOTS: Final = frozenset({".", ".."})
OCCUPANCY, ROOM, POLLING_HEALTH = "rtc-occupancy", "rtc-room", "rtc-polling-health"
"""Uids of the dashboards."""


def list_of_rooms(**parameters: str) -> str:
    """The status page, with the rooms that match these parameters."""
    return f"?{urlencode(parameters)}#rooms"


def room_view(source: str, room: str) -> str:
    """The page of one room."""
    if {source, room} & _DOTS:  # a browser removes these from a path, even percent-encoded
        return f"rooms?{urlencode({'source': source, 'room': room})}"
    return f"rooms/{quote(source, safe='')}/{quote(room, safe='')}"


def anchor(runbook: str) -> str:
    """The runbook of an alert."""
    return f"docs/runbooks#{runbook.lower()}"


@dataclass(frozen=True, slots=True)
class Grafana:
    """
    Links to the dashboards in a Grafana.

    Args:
        url: Address of Grafana, without a final slash.
    """

    url: str

    @classmethod
    def parse(cls, url: str) -> Grafana | None:
        """
        Parse the text of a flag; ``None`` for an empty text.

        Raises:
            UserError: The text is not accepted as the address of a Grafana.
        """
        if not url:
            return None
        if not _GRAFANA.fullmatch(url):
            # The message does not repeat the text, since it may contain a password.
            raise UserError(
                "the URL of Grafana cannot be used; accepted: http or https, host, perhaps a port and a path, such as"
                " https://grafana.example.org; no user, query or fragment"
            )
        return cls(url.rstrip("/"))

    @property
    def occupancy(self) -> str:
        """The dashboard of all rooms."""
        return f"{self.url}/d/{OCCUPANCY}"

    def polling_health(self, source: str) -> str:
        """The dashboard of one source."""
        return f"{self.url}/d/{POLLING_HEALTH}?{urlencode({'var-source': source})}"

    def room(self, source: str, room: str) -> str:
        """The dashboard of one room."""
        return f"{self.url}/d/{ROOM}?{urlencode({'var-source': source, 'var-room': room})}"
