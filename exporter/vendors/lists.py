"""
The seam for vendors' lists of rooms: what a codec offers whose API can list them.

A list is read in *passes*. A pass asks page after page until it has everything, or knows that it never will. It is a
pure object, as a codec is: the caller brings time, signature and network, and decides when a page is asked for.

``PagedPass`` is a pass over a list that comes in pages, as far as all vendors have it in common: it collects the rooms,
bounds the pass, and judges whether it is complete. What one vendor's pages look like, its ``Pager`` knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from exporter.model import Auth, Failure, Reading, Request, Stamp

MOST_PAGES: Final = 5_000
"""Pages of a pass, however many rooms the vendor says it has."""

MOST_ROOMS: Final = 100_000
"""Rooms of a pass."""

PAGES_WITHOUT_NEWS: Final = 3
"""Pages in a row without a new room: whatever the vendor says, this list does not get any further."""


ANY_ROOM: Final = ""
"""Stands for rooms that nobody knows yet, in a call of an API that answers for all of them."""


class ListPass(Protocol):
    """
    One pass over a list.

    ``request`` and ``reply`` take turns. After a failure the same page may be asked for again; whoever gives up drops
    the pass, which has named some rooms and is not complete. A pass has ended if it is complete or has an error.
    """

    rooms: Mapping[str, Reading | None]
    """Rooms that the pass has named so far, with their users where the list tells them and says them only once."""
    page: Mapping[str, Reading | None]
    """Those of them that the last reply named."""
    complete: bool
    """Whether the pass has ended and has named every room that the vendor lists."""
    error: str | None
    """Why a pass that has ended is not complete, in our words."""
    total: int | None
    """How many rooms the vendor said last that it lists; ``None`` where it does not say."""
    unsupported: bool
    """Whether the last failure says that this app cannot have its rooms listed, until somebody has it changed."""

    def request(self, auth: Auth, stamp: Stamp) -> Request | None:
        """The request for the next page; ``None`` if the pass has ended."""

    def reply(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure | None:
        """Take one page, or say why it could not be taken. Total: no reply raises."""


class Lists(Protocol):
    """A vendor API's list of rooms."""

    tells_users: bool
    """Whether the list carries a count that can stand for a reading."""
    answers_all: bool
    """Whether a poll tells every room with its users: then it is the list, and no other call is made for one."""
    tells_new: bool
    """Whether it can be asked for what is new since a moment."""
    page_size: int
    """Rooms that one call lists at most."""
    default_interval: float
    """Seconds between two passes, unless configured."""

    def limit(self, source: Any) -> float:
        """Documented calls per second of the list; half of it is used by default."""

    def budget_key(self, source: Any) -> str:
        """Names the vendor's limit on list calls; equal keys share one."""

    def unavailable(self, source: Any) -> str | None:
        """Why this source's rooms cannot be listed, such as a region without the list; ``None`` if they can."""

    def begin(self, source: Any, now: float, since: float | None, lookback: float) -> ListPass:
        """
        Begin a pass at Unix time ``now``.

        Args:
            since: Unix time at which the last complete pass began; ``None``: there is none, or a full pass is wanted.
                A list that ``tells_new`` names only what is new since then, and is still complete.
            lookback: Seconds that a full pass looks back, where a list is of a span of time.
        """


@dataclass(frozen=True, slots=True)
class Page:
    """
    What one page says.

    Args:
        last: Whether the vendor has no further page.
        total: How many rooms the vendor says it has; ``None`` where it does not say.
        flaw: Why a list with this page in it is not complete, in our words.
        goes_on: Whether it got the pass any further though it names no new room, such as calls that have ended.
    """

    rooms: Mapping[str, Reading | None]
    last: bool
    total: int | None = None
    flaw: str | None = None
    goes_on: bool = False


class Pager(Protocol):
    """One vendor's pages, one after the other."""

    unsupported: frozenset[str]
    """Codes of failures, up to their first dot, which say that this app's rooms cannot be listed."""

    def request(self, auth: Auth, stamp: Stamp) -> Request:
        """The request for the page that is next."""

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> Page | Failure:
        """Read the reply to a page. Unless it failed, the next request asks for the next page."""


class PagedPass:
    """A pass over a list that comes in pages."""

    def __init__(self, pager: Pager) -> None:
        self._rooms: dict[str, Reading | None] = {}
        self.rooms: Mapping[str, Reading | None] = self._rooms
        self.page: Mapping[str, Reading | None] = {}
        self.complete = False
        self.error: str | None = None
        self.total: int | None = None
        self.unsupported = False
        self._pager = pager
        self._pages = self._without_news = 0
        self._first_total: int | None = None
        self._flaw: str | None = None

    def request(self, auth: Auth, stamp: Stamp) -> Request | None:
        """The request for the next page; ``None`` if the pass has ended."""
        return None if self.complete or self.error is not None else self._pager.request(auth, stamp)

    def reply(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure | None:
        """Take one page, or say why it could not be taken."""
        self.page = {}
        page = self._pager.read(status, headers, body)
        if isinstance(page, Failure):
            self.unsupported = page.code.partition(".")[0] in self._pager.unsupported
            return page
        self.unsupported = False
        self._take(page)
        return None

    def _take(self, page: Page) -> None:
        known = len(self.rooms)
        self.page, self.total = page.rooms, page.total
        self._rooms.update(page.rooms)
        self._flaw = self._flaw or page.flaw
        self._pages += 1
        if self._pages == 1:
            self._first_total = page.total
        goes_on = page.goes_on or len(self.rooms) > known
        self._without_news = 0 if goes_on else self._without_news + 1
        if page.last:
            self._end(self._flaw or self._missing())
        elif self._without_news >= PAGES_WITHOUT_NEWS:
            self._end(f"{PAGES_WITHOUT_NEWS} pages in a row named no room that earlier ones had not")
        elif self._pages >= MOST_PAGES:
            self._end(f"the list has more than {MOST_PAGES} pages")
        elif len(self.rooms) >= MOST_ROOMS:
            self._end(f"the list has {MOST_ROOMS} rooms or more")

    def _missing(self) -> str | None:
        """Rooms come and go while pages are read, so the smaller of first and last total is what must be there."""
        totals = [total for total in (self._first_total, self.total) if total is not None]
        if totals and len(self.rooms) < min(totals):
            return f"the vendor has {min(totals)} rooms, and its pages named {len(self.rooms)}"
        return None

    def _end(self, error: str | None) -> None:
        self.complete, self.error = error is None, error
