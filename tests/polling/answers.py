"""
What a vendor can answer: its own failures of every kind, and what goes wrong on the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from exporter.model import Failure, FailureKind
from tests.vendors import examples

if TYPE_CHECKING:
    from tests.polling.vendor import Call


@dataclass(frozen=True, slots=True)
class Answer:
    """What a vendor answers; ``latency`` in seconds, ``None``: the vendor's usual one."""

    document: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    latency: float | None = None


RATE_LIMITED: Final[Mapping[str, object]] = {
    "zego_rtc": 206,
    "zego_zim": 660300005,
    "tencent_im": 60011,
    "tencent_live": 60011,
    "volcengine_rtc": "FlowLimitExceeded.QPSOverLimit",
    "janus_videoroom": Answer(b"<html>429 Too Many Requests</html>", status=429),
}


UNAUTHORIZED: Final[Mapping[str, object]] = {
    "zego_rtc": 100000005,
    "zego_zim": 100000005,
    "tencent_im": 70003,
    "tencent_live": 70003,
    "volcengine_rtc": "SignatureDoesNotMatch",
    "janus_videoroom": 403,
}
MISCONFIGURED: Final[Mapping[str, object]] = {
    "zego_rtc": 100000011,
    "zego_zim": 100000017,
    "tencent_im": 60010,
    "tencent_live": 100007,
    "volcengine_rtc": "ServiceNotFound",
    "janus_videoroom": 460,
}
REFUSED: Final[Mapping[str, object]] = {
    "zego_rtc": 2,
    "zego_zim": 660000002,
    "tencent_im": 10015,
    "tencent_live": 100006,
    "volcengine_rtc": "InvalidParameter.IllegalRoomID",
}


def fails(api: str, code: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """The vendor's own failure of this code; a proxy's, where the vendor has none."""
    if isinstance(code, Answer):
        return replace(code, headers=headers or {})
    return Answer(examples.failure(api, code), status, headers or {})


HANGS: Final = Answer(latency=math.inf)
BAD_GATEWAY: Final = Answer(b"<html>Bad Gateway</html>", status=502)


RESET: Final = Failure(FailureKind.TRANSIENT, "disconnected", "the connection broke before the reply was complete")


def always(answer: Answer | Failure) -> Callable[[Call], Answer | Failure]:
    """The same answer to every call."""
    return lambda call: answer


def refuses(bad: set[str]) -> Callable[[Call], Answer | None]:
    """Refuse every call that asks for one of these rooms."""
    return lambda call: fails(call.api, REFUSED[call.api]) if bad.intersection(call.rooms) else None
