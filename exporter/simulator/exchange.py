"""The types that pass between the modules of the simulator during one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from urllib.parse import parse_qsl

from exporter.simulator.outlook import Outlook


@dataclass(frozen=True, slots=True)
class Received:
    """
    A request as received.

    Attributes:
        query: Raw, without the question mark: a signature covers the bytes that were sent, not a decoded form.
        params: The decoded query, with `+` as a space: all values of each name. None if it is not UTF-8.
        headers: Names are case-insensitive.
    """

    method: str
    path: str
    query: str
    params: Mapping[str, Sequence[str]] | None
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @classmethod
    def of(cls, method: str, target: str, headers: Mapping[str, str], body: bytes) -> "Received":
        """From the parts of a request; `target` is the one in its first line."""
        path, _, query = target.partition("?")
        return cls(method, path, query, _query_params(query), headers, body)

    def param(self, name: str) -> str:
        """The first value of a parameter; empty if it is missing."""
        values = self.values(name)
        return values[0] if values else ""

    def values(self, name: str) -> Sequence[str]:
        """All values of a parameter."""
        return () if self.params is None else self.params.get(name, ())


@dataclass(frozen=True, slots=True)
class Ask:
    """
    A parsed request. Nothing is checked yet.

    Attributes:
        api: The API, for instance "zego_rtc".
        action: The vendor's name of the call.
        app: The app id in the request; empty if the vendor has no such app.
        limit: Name of the limit for which it counts (see `settings.DOCUMENTED_LIMITS`).
        holder: Owner of the budget: the app id, at Volcengine the access key; empty if unknown.
        document: The JSON body; None without a body or if it is not JSON.
        lists: Whether the request asks for a list of rooms.
    """

    received: Received
    api: str
    action: str
    app: str
    limit: str
    holder: str
    rooms: tuple[str, ...]
    document: object = None
    lists: bool = False

    def param(self, name: str) -> str:
        """The first value of a query parameter; empty if it is missing."""
        return self.received.param(name)


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    A vendor's error answer.

    Attributes:
        code: As the vendor writes it, "206" or "FlowLimitExceeded.QPSOverLimit".
        message: Empty for the documented text of the code.
        status: HTTP status; None for the documented status of the code.
    """

    code: str
    message: str = ""
    status: int | None = None


class Answered(NamedTuple):
    """The true values of one room in a reply; None where the API has no such value."""

    room: str
    users: int
    admin: int | None
    invisible: int | None
    exists: bool | None


@dataclass(frozen=True, slots=True)
class Reply:
    """
    An HTTP reply.

    Attributes:
        code: The vendor's code in it; "0" for success, empty for a reply without a code.
        answered: The rooms for which it has true values.
    """

    status: int
    body: bytes
    code: str
    answered: tuple[Answered, ...] = ()
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Gateway(Protocol):
    """One vendor: parses, checks and answers requests, and writes errors in its format."""

    def read(self, received: Received) -> Ask | None:
        """Parse a request; None if it is not for this vendor."""
        ...

    def check(self, ask: Ask, now: float) -> Refusal | None:
        """Why the vendor refuses, at this time of its own clock (Unix seconds); None if it does not. Uses the nonce."""
        ...

    def answer(self, ask: Ask, outlook: Outlook) -> Reply:
        """The reply to a request that passed all checks. It can still be an error, for instance for a missing room."""
        ...

    def refuse(self, ask: Ask, refusal: Refusal) -> Reply:
        """An error in the vendor's format."""
        ...


def _query_params(query: str) -> dict[str, list[str]] | None:
    params: dict[str, list[str]] = {}
    try:
        for name, value in parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=1000):
            params.setdefault(name, []).append(value)
    except ValueError:
        return None
    return params
