"""
One source's callbacks: from a request at its address to hints, an answer and figures.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from exporter.callbacks.limits import Seen, TokenBucket
from exporter.clock import Clock
from exporter.config.discovery import CallbacksConfig
from exporter.logs import Log
from exporter.metrics.durations import Durations
from exporter.text import showable
from exporter.vendors.callbacks import Callbacks, Event, Hint, Refusal, Request
from exporter.vendors.source import Source

RATE: Final = 200.0
"""Callbacks per second and source. Vendors send again what is refused, so what is over it is taken and dropped."""
BURST: Final = 1_000.0

_LOGGED_EVERY: Final = 60.0
_LONGEST_SHOWN: Final = 200


class Result(StrEnum):
    """The result of a callback: the label ``result`` of ``rtc_callback_requests_total``."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"
    BAD_SIGNATURE = "bad_signature"
    TOO_OLD = "too_old"
    WRONG_APP = "wrong_app"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    RATE_LIMITED = "rate_limited"


@dataclass(frozen=True, slots=True)
class Subscription:
    """
    A source that takes callbacks.

    Args:
        callbacks: Of its codec.
    """

    name: str
    source: Source = field(repr=False)
    callbacks: Callbacks = field(repr=False)
    config: CallbacksConfig = field(repr=False)


@dataclass(slots=True)
class Stats:
    """
    Figures of a source's callbacks.

    Args:
        results: How many requests ended how.
        last_event_at: Unix seconds by our clock at which the last callback that was believed arrived.
        delay: From the vendor's time in a callback to its arrival.
    """

    results: Counter[Result] = field(default_factory=Counter)
    last_event_at: float | None = None
    delay: Durations = field(default_factory=lambda: Durations(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0))


class Receiver:
    """
    Takes the callbacks of one source. It outlives reloads, with its figures and its bucket.

    Args:
        seen: What was taken already, of all sources.
        hinted: Is called with the source's name and each hint.

    Attributes:
        subscription: May be replaced at any time.
    """

    def __init__(
        self, subscription: Subscription, seen: Seen, clock: Clock, log: Log, hinted: Callable[[str, Hint], None]
    ) -> None:
        self.subscription = subscription
        self.stats = Stats()
        self._seen = seen
        self._clock = clock
        self._log = log.bind(source=subscription.name)
        self._hinted = hinted
        self._bucket = TokenBucket(RATE, BURST, clock.monotonic())
        self._logged: dict[Result, float] = {}
        self._unlogged: Counter[Result] = Counter()

    def is_named(self, token: str) -> bool:
        """Whether this is the last part of the source's path, in a time that does not tell how much of it is right."""
        return is_token(token, tuple(each.reveal() for each in self.subscription.config.path_tokens))

    def has_room(self) -> bool:
        """Whether one more callback may be read now."""
        return self._bucket.take(self._clock.monotonic())

    def receive(self, request: Request) -> Result:
        """Read a request, hand on what it says, and tell what became of it. Total."""
        subscription, now = self.subscription, self._clock.unix()
        read = subscription.callbacks.read(
            subscription.source,
            [secret.reveal() for secret in subscription.config.secrets],
            request,
            max_age=subscription.config.max_age,
            now=now,
        )
        return self.note(_RESULT_OF[read] if isinstance(read, Refusal) else self._take(read, now))

    def note(self, result: Result) -> Result:
        """Count a result, and log it now and then if somebody should know."""
        self.stats.results[result] += 1
        words = _WORDS.get(result)
        if words is not None:
            self._log_now_and_then(result, words)
        return result

    def _take(self, event: Event, now: float) -> Result:
        if event.replay_key is not None and not self._seen.add(self.subscription.name, event.replay_key):
            return Result.DUPLICATE
        self.stats.last_event_at = now
        if event.sent_at is not None:
            self.stats.delay.observe(max(0.0, now - event.sent_at))
        for hint in event.hints:
            self._log.debug("callback", event_name=event.name, room=showable(hint.room_id, _LONGEST_SHOWN))
            self._hinted(self.subscription.name, hint)
        return Result.ACCEPTED if event.hints else Result.IGNORED

    def _log_now_and_then(self, result: Result, words: str) -> None:
        now = self._clock.monotonic()
        if now - self._logged.get(result, float("-inf")) < _LOGGED_EVERY:
            self._unlogged[result] += 1
            return
        self._logged[result] = now
        more = self._unlogged.pop(result, 0)
        self._log.warning("callback not taken", result=str(result), meaning=words, more=more)


_RESULT_OF: Final[Mapping[Refusal, Result]] = {refusal: Result(refusal.value) for refusal in Refusal}

_WORDS: Final[Mapping[Result, str]] = {
    Result.BAD_SIGNATURE: "its signature is wrong; check the secret of the callbacks, and give both during a rotation",
    Result.TOO_OLD: "its time is not near ours; check this machine's clock, and that what forwards callbacks is quick",
    Result.WRONG_APP: "it is of another app; check the address in the vendor's console",
    Result.TOO_LARGE: "its body is too large; raise max_body if the vendor sent it",
    Result.MALFORMED: "it is not as the vendor documents; whatever forwards callbacks must leave query and body alone",
    Result.RATE_LIMITED: "there are too many; polls and lists tell what they would have told",
}


def is_token(token: str, expected: tuple[str, ...]) -> bool:
    """Whether a token is one of these. Hashes are compared, which have one length whatever the tokens have."""
    given = _hash(token)
    found = [hmac.compare_digest(given, _hash(each)) and bool(each) for each in expected or ("",)]
    return any(found)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
