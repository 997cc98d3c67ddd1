"""The shapes that pass between the parts of the simulator during one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from urllib.parse import parse_qsl

from exporter.simulator.outlook import Outlook


@dataclass(frozen=True, slots=True)
class Received:
    """
    A request as it came off the wire.

    Attributes:
        query: Raw, without the question mark: signatures are checked on what was sent, not on a library's idea of it.
        params: The query, decoded, `+` read as a space; each name with all its values. None when it is not UTF-8.
        headers: Looked up without regard to case.
    """

    method: str
    path: str
    query: str
    params: Mapping[str, Sequence[str]] | None
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @classmethod
    def of(cls, method: str, target: str, headers: Mapping[str, str], body: bytes) -> "Received":
        """From the parts of a request; `target` is what stands in its first line."""
        path, _, query = target.partition("?")
        return cls(method, path, query, _query_params(query), headers, body)

    def param(self, name: str) -> str:
        """The parameter's first value; empty when it is missing."""
        values = self.values(name)
        return values[0] if values else ""

    def values(self, name: str) -> Sequence[str]:
        """Every value that the parameter was given."""
        return () if self.params is None else self.params.get(name, ())


@dataclass(frozen=True, slots=True)
class Ask:
    """
    What a request asks for, as far as it can be read. Nothing is checked yet.

    Attributes:
        api: Whose call it is, "zego_rtc" for instance.
        action: The vendor's name of the call.
        app: The app id it claims; empty when it names none that the vendor knows.
        limit: Name of the limit that it counts for (see `settings.DOCUMENTED_LIMITS`).
        holder: Whose budget of that limit: the app id, at Volcengine the access key; empty when unknown.
        document: The JSON body; None when it has none or is not JSON.
    """

    received: Received
    api: str
    action: str
    app: str
    limit: str
    holder: str
    rooms: tuple[str, ...]
    document: object = None

    def param(self, name: str) -> str:
        """The query parameter's first value; empty when it is missing."""
        return self.received.param(name)


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    A vendor's error answer.

    Attributes:
        code: As the vendor writes it, "206" or "FlowLimitExceeded.QPSOverLimit".
        message: Empty: the documented words for that code.
        status: HTTP status; None: the one that goes with the code.
    """

    code: str
    message: str = ""
    status: int | None = None


class Answered(NamedTuple):
    """What a reply truthfully says of one room; None for what this API does not tell."""

    room: str
    users: int
    admin: int | None
    invisible: int | None
    exists: bool | None


@dataclass(frozen=True, slots=True)
class Reply:
    """
    What goes back.

    Attributes:
        code: The vendor's code in it; "0" for success, empty for a reply that has none.
        answered: The rooms whose counts it tells truthfully.
    """

    status: int
    body: bytes
    code: str
    answered: tuple[Answered, ...] = ()
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Gateway(Protocol):
    """One vendor: reads, checks and answers requests, and writes its errors."""

    def read(self, received: Received) -> Ask | None:
        """What is asked; None when this request is not for this vendor."""
        ...

    def check(self, ask: Ask, now: float) -> Refusal | None:
        """Why the vendor refuses at this moment of its own clock (Unix seconds), if it does. Spends the nonce."""
        ...

    def answer(self, ask: Ask, outlook: Outlook) -> Reply:
        """The reply to a request that passed every check; an error still, perhaps, as for a room that is missing."""
        ...

    def refuse(self, ask: Ask, refusal: Refusal) -> Reply:
        """The vendor's envelope around an error."""
        ...


def _query_params(query: str) -> dict[str, list[str]] | None:
    params: dict[str, list[str]] = {}
    try:
        for name, value in parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=1000):
            params.setdefault(name, []).append(value)
    except ValueError:
        return None
    return params
