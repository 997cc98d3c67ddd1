r"""
The last reading of every room, kept as lines that are ready to be sent.

Problem: a scrape of 100,000 rooms has some 400,000 lines, 40 MB. Formatting them takes Python more than half a second,
and the event loop must not stop for that long. Between two scrapes only some of the values change.

Idea: format a line when its reading arrives, not when a scrape asks. A ``Table`` holds one ``SourceTable`` for each
source. A ``SourceTable`` has one column of lines for each metric family, and each room owns one row in all columns::

    row   rtc_room_users                     rtc_room_exists  ...
    0     b'rtc_room_users{...} 12\n'       b'rtc_room_exists{...} 1\n'
    1     b''                                b''               (room 1 is unknown: its lines are absent)

A new reading replaces the number at the end of the line and keeps the name and the labels. A scrape joins columns.
``pages`` stores them and makes snapshots without copying a line (copy-on-write). The row of a removed room is used for
the next new one.

Expiry: a reading older than ``max_staleness`` must not be published. All readings of one reply form a ``Batch``, and
batches are kept in order of arrival. ``expire`` looks at batches from the oldest on and stops at the first young one,
so it need not look at every room. Rooms that are read more often than others may have a shorter time of their own; then
there is one order of batches for each such time.

Example: a reply arrives at 12.0 s (monotonic) with ``lobby`` 3 users and ``stage`` 40. Row 0 becomes
``b'rtc_room_users{...,room="lobby"} 3\n'``, row 1 likewise; both rows point to batch A with ``published`` 2. At
22.0 s ``lobby`` is read again: its row points to batch B, and A has ``published`` 1. With ``max_staleness`` 30,
``expire(42.5)`` finds A too old, withdraws ``stage`` alone, and stops at B.

Where ``publish`` is configured, only some rooms own a row: ``selection`` says which. The others have values and a state
as any room, and are counted: sums, states and sizes are of all rooms. A room that begins to be published gets a row and
all its lines in the step in which its reading is recorded. ``arrange`` changes ``publish`` while the source goes on.

User-seconds are the integral of a room's users over time, by the trapezoidal rule: 10 users at 12.0 s and 20 at 22.0 s
add 150. Nothing is added for the time between two readings if the earlier one was too old before the later one came.
So the rate of ``rtc_room_user_seconds_total`` is the average number of users over the time in which the room was known.
Where somebody collects what ``changed``, for other replicas of a cluster, the sum is published one reading later than
it is known. Then another replica knows it, too, and what all of them publish never falls when one of them dies.

Why not one prometheus_client ``Gauge`` with labels: it formats every line at every scrape, and a value that was once
set stays until somebody removes it.

When this is wrong: the lines cost memory, about 1 kB for each room. Batches are in order only as far as replies are
recorded in the order of their arrival; ``_DISORDER`` allows for one second. A reply that is recorded later than that
can stay published too long, by as much as it was late, and so long some user-seconds of its room may count twice.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import accumulate, islice
from typing import Final

from exporter.metrics import catalogue
from exporter.metrics.catalogue import Metric
from exporter.metrics.movers import Movers
from exporter.metrics.pages import ABSENT, ROWS, Page, Pages
from exporter.metrics.room import NOWHERE, Above, Arrival, Batch, RoomView, Row
from exporter.metrics.selection import Arrangement, Selection
from exporter.model import (
    DEFAULT_FAMILIES,
    Family,
    Reading,
    Room,
    Severity,
    in_parts,
)
from exporter.states import RoomState
from exporter.text import encodable

_column = catalogue.ROOM_METRICS.index
_USERS: Final = _column(catalogue.ROOM_USERS)
_ADMIN_USERS: Final = _column(catalogue.ROOM_ADMIN_USERS)
_INVISIBLE_USERS: Final = _column(catalogue.ROOM_INVISIBLE_USERS)
_EXISTS: Final = _column(catalogue.ROOM_EXISTS)
_TIMESTAMP: Final = _column(catalogue.ROOM_READING_TIMESTAMP)
_INFO: Final = _column(catalogue.ROOM_INFO)
_THRESHOLD: Final = _column(catalogue.ROOM_USERS_THRESHOLD)
_USER_SECONDS: Final = _column(catalogue.ROOM_USER_SECONDS)
_VALUES: Final = (_USERS, _ADMIN_USERS, _INVISIBLE_USERS, _EXISTS, _TIMESTAMP, _USER_SECONDS)
_LENGTHS: Final = tuple(len(metric.name) for metric in catalogue.ROOM_METRICS)
_FRESH, _MISSING = RoomState.FRESH, RoomState.MISSING
_TROUBLE: Final = frozenset({RoomState.UNKNOWN, RoomState.REFUSED})
_DISORDER: Final = 1.0
"""Seconds by which the order of recording may differ from the order of arrival."""


SIZES: Final = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
"""Upper bounds of the classes of rooms by their users; the last class has no bound."""


class SourceTable:
    """
    The rooms of one source: their lines, states and ages.

    Args:
        labels: ``vendor``, ``api`` and ``source`` of every series.
        max_staleness: A reading older than so many seconds is not published. A reload may change it.

    Attributes:
        known: Rooms with a published reading.
        unread: Rooms that are unknown because they were never read.
        limited: Rooms with a threshold.
        with_threshold: Rooms with this threshold.
        users: Sum over the rooms with a published reading.
        user_seconds: Integral of ``users`` over time; ``None`` where it is not summed up.
        told_user_seconds: So much of it is published.
        arrangement: Which rooms have series, and which.
        published: Rooms that have series of their own.
        began: Rooms that began to have series while others had none.
        ceased: Rooms that had series and have none any more.
        above: Rooms above a threshold by their last reading, by room id.
        movers: Rooms that rise or fall fastest.
        version: Goes up whenever a line may have changed.
        changed: Rooms that were read or removed, where somebody collects them; ``None``: nobody does.
    """

    def __init__(self, labels: Mapping[str, str], max_staleness: float) -> None:
        self.max_staleness = max_staleness
        self.version = 0
        self.known = self.unread = self.limited = 0
        self.users = 0
        self.user_seconds: float | None = None
        self.told_user_seconds = 0.0
        self.arrangement = Arrangement()
        self.published = self.began = self.ceased = 0
        self.above: dict[str, Above] = {}
        self.with_threshold: dict[Severity, int] = dict.fromkeys(Severity, 0)
        self.movers = Movers()
        self.states: dict[RoomState, int] = dict.fromkeys(RoomState, 0)
        self._labels = ",".join(f'{name}="{escape_label(value)}"' for name, value in labels.items())
        self._rows: dict[str, Row] = {}
        self._pages = Pages(len(catalogue.ROOM_METRICS))
        self._batches: dict[Batch, None] = {}
        self._own_batches: dict[float, dict[Batch, None]] = {}
        self._in_order = True
        self.changed: dict[str, None] | None = None
        self._sizes = [0] * (len(SIZES) + 1)
        self._columns = _columns(DEFAULT_FAMILIES)
        self._selection: Selection | None = None
        self._arranging = False
        self._former: Arrangement | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, room_id: object) -> bool:
        return room_id in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def watch(self, rooms: Iterable[Room]) -> None:
        """Add these rooms, or update their labels and thresholds. A new room is unknown; others keep their reading."""
        for room in rooms:
            self._add_or_update(room)
        self._apply_selection()
        self.version += 1

    def forget(self, room_ids: Iterable[str]) -> None:
        """Remove these rooms, with all their lines."""
        for room_id in room_ids:
            if room_id in self._rows:
                self._remove(room_id)
        self._apply_selection()
        self.version += 1

    def arrange(self, arrangement: Arrangement) -> Generator[None, None, None]:
        """
        Choose anew which rooms have series, and which series. Other tasks may run between two steps.

        Until the last step some rooms are published by the earlier choice. Sums and sizes do not depend on it.

        If labels or thresholds of all rooms change, the rooms are told one by one. So until ``arranged`` those that
        all rooms had before are nothing of a room's own, either: otherwise every room would have series meanwhile.
        """
        before, self.arrangement = self.arrangement, arrangement
        if self._rows and (arrangement.labels, arrangement.thresholds) != (before.labels, before.thresholds):
            self._former = before
        if (arrangement.publish, arrangement.families) == (before.publish, before.families):
            return
        self._columns = _columns(arrangement.families)
        integrates = Family.USER_SECONDS in arrangement.families
        self.user_seconds = max(self.user_seconds or 0.0, self.told_user_seconds) if integrates else None
        other = arrangement.publish != before.publish
        if other:
            self._selection = None if arrangement.publish is None else Selection(arrangement.publish)
        self._arranging = True
        try:
            if other:
                yield from self._select_all(self._selection)
            yield from self._show_all(self._selection)
        finally:
            self._arranging = False
            self._apply_selection()

    def arranged(self) -> Iterator[None]:
        """All rooms have the new labels and thresholds, if these changed. Other tasks may run between two steps."""
        former, self._former = self._former, None
        for part in in_parts([*self._rows]) if former is not None else ():
            if (selection := self._selection) is None:
                return
            for room_id in part:
                if (row := self._rows.get(room_id)) is not None:
                    selection.own(room_id, has=self._has_own(row.room))
            self._apply_selection()
            yield

    def _has_own(self, room: Room) -> bool:
        """Whether a room has labels or thresholds of its own."""
        return self.arrangement.is_own(room) and (self._former is None or self._former.is_own(room))

    def _select_all(self, selection: Selection | None) -> Iterator[None]:
        """Tell a new selection of all rooms."""
        if selection is None:
            return
        for part in in_parts([*self._rows]):
            for room_id in part:
                if (row := self._rows.get(room_id)) is not None:
                    self._select(selection, row)
            yield

    def _show_all(self, selection: Selection | None) -> Iterator[None]:
        """Write all lines anew: those of the rooms that are published from now on, and of the chosen families."""
        for part in in_parts([*self._rows]):
            for room_id in part:
                if (row := self._rows.get(room_id)) is None:
                    continue
                shown, shows = row.number != NOWHERE, selection is None or room_id in selection
                if shown:
                    self._hide(row, ceases=not shows)
                if shows:
                    self._show(row, begins=not shown)
            self.version += 1
            yield

    def go_on_from(self, user_seconds: Mapping[str, tuple[float, float]]) -> None:
        """
        Go on from the user-seconds of rooms that another process summed up. Nothing falls by that.

        Args:
            user_seconds: Sum of each room, and what may be published of it. Rooms that are not watched are ignored.
        """
        if self.user_seconds is None:
            return
        for room_id, (seconds, told) in user_seconds.items():
            row = self._rows.get(room_id)
            if row is not None:
                row.user_seconds = max(row.user_seconds, seconds)
                row.told_user_seconds = max(row.told_user_seconds, told)
                if row.batch is not None:
                    self._put_value(room_id, row, _USER_SECONDS, _total(row.told_user_seconds))
        self.version += 1

    def go_on_from_sum(self, user_seconds: float, told: float) -> None:
        """The same for the sum over all rooms, of which rooms that are gone are a part."""
        if self.user_seconds is not None:
            self.user_seconds = max(self.user_seconds, user_seconds)
            self.told_user_seconds = max(self.told_user_seconds, told)

    def record(self, readings: Mapping[str, Reading], arrival: Arrival, max_age: float | None = None) -> list[float]:
        """
        Publish the readings of one reply. Readings of rooms that are no longer watched are ignored.

        Args:
            max_age: Seconds for which they may be published; ``None``: ``max_staleness``.

        Returns:
            The seconds since the previous reading, for each room that has one.
        """
        return self._record(readings, arrival, max_age, integrates=self.user_seconds is not None)

    def _record(
        self, readings: Mapping[str, Reading], arrival: Arrival, max_age: float | None, *, integrates: bool
    ) -> list[float]:
        batch = Batch(arrival, tuple(readings), max_age)
        self._order(batch)[batch] = None
        timestamp = _timestamp(arrival)
        selection, totals = self._selection, self.user_seconds is not None
        gaps = []
        for room_id, reading in readings.items():
            row = self._rows.get(room_id)
            if row is None:
                continue
            if totals:
                self._sum_up(room_id, row, reading.users if integrates else None, arrival.monotonic)
            if selection is not None:
                selection.read(room_id, row.users, reading.users, row.limit, arrival.monotonic)
            if row.users is not None and row.read_at is not None:
                self.movers.note(room_id, reading.users - row.users, arrival.monotonic - row.read_at, arrival.monotonic)
            self._set_values(room_id, row, reading, arrival.monotonic)
            self._put_value(room_id, row, _TIMESTAMP, timestamp)
            self._set_state(row, _MISSING if reading.missing else _FRESH)
            if row.read_at is not None:
                gaps.append(arrival.monotonic - row.read_at)
            row.read_at = arrival.monotonic
            if row.batch is not None:
                self._leave_batch(row.batch)
            else:
                self.known += 1
            row.batch = batch
            batch.published += 1
        if not batch.published:
            del self._order(batch)[batch]
        self.note(readings)
        self._apply_selection()
        self.version += 1
        return gaps

    def inherit(
        self, readings: Mapping[str, Reading], arrival: Arrival, max_age: float | None = None
    ) -> Mapping[str, Reading]:
        """
        Publish readings that another process made at that time. Rooms that have a younger one keep it. To user-seconds
        they add nothing.

        Args:
            max_age: As in ``record``.

        Returns:
            Those that are now published. They do not count as changed.
        """
        rows = self._rows
        newer = {
            room_id: reading
            for room_id, reading in readings.items()
            if (row := rows.get(room_id)) is not None and (row.read_at is None or row.read_at < arrival.monotonic)
        }
        if newer:
            order = self._batches if max_age is None else self._own_batches.get(max_age, {})
            self._in_order = self._in_order and all(
                batch.arrival.monotonic <= arrival.monotonic for batch in islice(reversed(order), 1)
            )
            changed, self.changed = self.changed, None
            self._record(newer, arrival, max_age, integrates=False)
            self.changed = changed
        return newer

    def reads_of(self, room_ids: Iterable[str], unix: float) -> list[str]:
        """Those of these rooms whose published reading arrived at this Unix time."""
        rows = ((room_id, self._rows.get(room_id)) for room_id in room_ids)
        return [room_id for room_id, row in rows if row and row.batch and row.batch.arrival.unix == unix]

    def fail(self, room_id: str) -> None:
        """The last poll of this room gave no reading. The reading before it stays published until it is too old."""
        row = self._rows.get(room_id)
        if row is not None and row.state is not RoomState.REFUSED:
            self._set_state(row, row.last_known())
            self._apply_selection()

    def refuse(self, room_id: str) -> None:
        """The vendor refused this room."""
        row = self._rows.get(room_id)
        if row is not None:
            self._set_state(row, RoomState.REFUSED)
            self.note((room_id,))
            self._apply_selection()

    def forgive(self, room_ids: Iterable[str] | None = None) -> None:
        """
        These rooms are not refused any more, default: all. Then the refusals came from a problem of the source, not of
        its rooms.
        """
        for room_id in self._rows if room_ids is None else room_ids:
            row = self._rows.get(room_id)
            if row is not None and row.state is RoomState.REFUSED:
                self._set_state(row, row.last_known())
                self.note((room_id,))
        self._apply_selection()

    def expire(self, now: float) -> None:
        """Withdraw the readings that are older than ``max_staleness``, or than they may be, at this monotonic time."""
        self._restore_order()
        self._expire(self._batches, now - self.max_staleness)
        for max_age, batches in self._own_batches.items():
            self._expire(batches, now - max_age)

    def _expire(self, batches: dict[Batch, None], oldest_allowed: float) -> None:
        expired = []
        for batch in batches:
            if batch.arrival.monotonic >= oldest_allowed + _DISORDER:
                break
            if batch.arrival.monotonic < oldest_allowed:
                expired.append(batch)
        for batch in expired:
            for room_id in batch.rooms:
                row = self._rows.get(room_id)
                if row is not None and row.batch is batch:
                    self._withdraw(row)
        if expired:
            self._apply_selection()
            self.version += 1

    def state(self, room_id: str) -> RoomState:
        return self._rows[room_id].state

    def view(self, room_id: str, now: float) -> RoomView:
        """A watched room, with its ages at this monotonic time."""
        row = self._rows[room_id]
        arrival = row.batch.arrival if row.batch else None
        return RoomView(
            room=row.room,
            state=row.state,
            users=row.users,
            arrival=arrival,
            age=now - arrival.monotonic if arrival else None,
            silence=None if row.read_at is None else now - row.read_at,
            above=self.above.get(room_id),
            published=row.number != NOWHERE,
            reason=None if self._selection is None else self._selection.reason(room_id),
            user_seconds=None if self.user_seconds is None else row.told_user_seconds,
        )

    def first_unread(self) -> str | None:
        """The room that has waited longest for its first reading; refused rooms do not count."""
        if not self.unread:
            return None
        return next(
            room_id for room_id, row in self._rows.items() if row.read_at is None and row.state is RoomState.UNKNOWN
        )

    def exceeding(self) -> dict[Severity, int]:
        """Number of rooms above a threshold. A room counts once, for the highest threshold that it exceeds."""
        counts = dict.fromkeys(Severity, 0)
        for above in self.above.values():
            counts[above.severity] += 1
        return counts

    def states_of(self, room_ids: Iterable[str]) -> list[RoomState]:
        """The states of these watched rooms."""
        return [row.state for row in map(self._rows.__getitem__, room_ids)]

    def users_of(self, room_ids: Iterable[str]) -> list[int | None]:
        """The published users of these watched rooms; ``None`` where nothing is published."""
        return [row.users for row in map(self._rows.__getitem__, room_ids)]

    def rooms_of(self, room_ids: Iterable[str]) -> list[Room]:
        """Those of these rooms that are watched, with their labels and thresholds."""
        return [row.room for row in map(self._rows.get, room_ids) if row is not None]

    def shares_of(self, room_ids: Iterable[str]) -> list[tuple[int | None, float]]:
        """
        Two numbers for each of these watched rooms. Their product is the share of the threshold.

        Returns:
            The last known users (see ``RoomView.last_known``), and the weight (see ``Row``; 0 without a threshold).
        """
        above = self.above
        return [
            (above[row.room.id].users if row.users is None and row.room.id in above else row.users, row.weight)
            for row in map(self._rows.__getitem__, room_ids)
        ]

    def values(self, room_id: str) -> dict[Metric, float]:
        """The values that are known of a watched room, whether it has series or is only counted."""
        row = self._rows[room_id]
        values = {
            catalogue.ROOM_USERS: row.users,
            catalogue.ROOM_ADMIN_USERS: row.admin_users,
            catalogue.ROOM_INVISIBLE_USERS: row.invisible_users,
            catalogue.ROOM_EXISTS: row.exists,
            catalogue.ROOM_READING_TIMESTAMP: None if row.batch is None else float(_timestamp(row.batch.arrival)),
            catalogue.ROOM_USER_SECONDS: row.told_user_seconds if row.batch and self.user_seconds is not None else None,
        }
        return {metric: float(value) for metric, value in values.items() if value is not None}

    def sizes(self) -> list[int]:
        """Number of known rooms with at most as many users as each of ``SIZES``, and of all known rooms."""
        return [*accumulate(self._sizes)]

    def published_changes(self) -> dict[str, int]:
        """How many rooms began and ceased to have series; empty where all rooms have."""
        return {} if self._selection is None else {"began": self.began, "ceased": self.ceased}

    def oldest_reading(self) -> float | None:
        """Arrival of the oldest reading that is published now, in Unix seconds."""
        self._restore_order()
        oldest = [next(iter(batches)).arrival.unix for batches in self._orders() if batches]
        return min(oldest, default=None)

    def note(self, room_ids: Iterable[str]) -> None:
        """Whoever collects what ``changed`` shall look at these rooms, whether they are watched or not."""
        if self.changed is not None:
            self.changed.update(dict.fromkeys(room_ids))

    def row(self, room_id: str) -> Row | None:
        """All that is known of a room; not to be changed. ``None`` if it is not watched."""
        return self._rows.get(room_id)

    def snapshot(self) -> list[Page]:
        """All lines as they are now, one column for each of ``ROOM_METRICS``. Later readings do not change it."""
        return self._pages.snapshot()

    def _restore_order(self) -> None:
        if not self._in_order:
            self._batches = _sorted(self._batches)
            self._own_batches = {max_age: _sorted(batches) for max_age, batches in self._own_batches.items()}
            self._in_order = True

    def _add_or_update(self, room: Room) -> None:
        row = self._rows.get(room.id)
        if row is None:
            row = self._rows[room.id] = Row(room, NOWHERE, len(self._line_labels(room.id).encode()))
            self.states[row.state] += 1
            self.unread += 1
        else:
            self._count_thresholds(row, -1)
        row.room = room
        lowest = room.thresholds.lowest
        row.limit = math.inf if lowest is None else lowest
        row.weight = room.thresholds.share(1) or 0.0
        self._count_thresholds(row, 1)
        if row.read_at is not None:
            self._compare_with_thresholds(
                row, self.above[room.id].users if room.id in self.above else row.users, row.read_at
            )
        if row.number != NOWHERE:
            self._describe(row)
        elif self._selection is None:
            self._show(row, begins=False)
        if self._selection is not None:
            self._select(self._selection, row)
        self.note((room.id,))

    def _count_thresholds(self, row: Row, change: int) -> None:
        self.limited += change * (row.limit < math.inf)
        thresholds = row.room.thresholds
        self.with_threshold[Severity.WARNING] += change * (thresholds.warning is not None)
        self.with_threshold[Severity.CRITICAL] += change * (thresholds.critical is not None)

    def _select(self, selection: Selection, row: Row) -> None:
        """Tell the selection what is known of a room that is new to it, or has other labels and thresholds."""
        room_id = row.room.id
        selection.own(room_id, has=self._has_own(row.room))
        selection.trouble(room_id, begins=row.state in _TROUBLE)
        if room_id in self.above:
            selection.hold(room_id)
        if row.users is not None and row.read_at is not None:
            selection.read(room_id, None, row.users, row.limit, row.read_at)

    def _apply_selection(self) -> None:
        """Give rows to the rooms that are published from now on, and take them from those that are not any more."""
        selection = self._selection
        if selection is None or self._arranging:
            return
        for room_id in selection.take_changes():
            row = self._rows.get(room_id)
            if row is None or (row.number != NOWHERE) is (room_id in selection):
                continue
            if row.number == NOWHERE:
                self._show(row, begins=True)
            else:
                self._hide(row, ceases=True)
            self.version += 1

    def _show(self, row: Row, *, begins: bool) -> None:
        """Give a room a row with all its lines."""
        row.number = self._pages.take()
        self.published += 1
        self.began += begins
        self._describe(row)
        if row.batch is None:
            return
        room_id = row.room.id
        self._put_value(room_id, row, _USERS, _count(row.users))
        self._put_value(room_id, row, _ADMIN_USERS, _count(row.admin_users))
        self._put_value(room_id, row, _INVISIBLE_USERS, _count(row.invisible_users))
        self._put_value(room_id, row, _EXISTS, _count(row.exists))
        self._put_value(room_id, row, _TIMESTAMP, _timestamp(row.batch.arrival))
        if self.user_seconds is not None:
            self._put_value(room_id, row, _USER_SECONDS, _total(row.told_user_seconds))

    def _hide(self, row: Row, *, ceases: bool) -> None:
        """Take a room's row away. All that is known of it stays."""
        self._pages.release(row.number)
        row.number = NOWHERE
        self.published -= 1
        self.ceased += ceases

    def _describe(self, row: Row) -> None:
        """Write the lines that do not depend on readings."""
        room = row.room
        if self._columns[_INFO]:
            own = "".join(f',{name}="{escape_label(value)}"' for name, value in room.labels)
            self._pages.put(row.number, _INFO, self._line(catalogue.ROOM_INFO, room.id, b" 1\n", own))
        if self._columns[_THRESHOLD]:
            thresholds = {"warning": room.thresholds.warning, "critical": room.thresholds.critical}
            lines = [
                self._line(catalogue.ROOM_USERS_THRESHOLD, room.id, b" %d\n" % value, f',severity="{severity}"')
                for severity, value in thresholds.items()
                if value is not None
            ]
            self._pages.put(row.number, _THRESHOLD, b"".join(lines))

    def _remove(self, room_id: str) -> None:
        row = self._rows.pop(room_id)
        users = row.users
        self._tell_user_seconds(row, row.user_seconds)
        self._withdraw(row)
        if self._selection is not None:
            self._selection.forget(room_id, users)
        self.above.pop(room_id, None)
        self.movers.forget(room_id)
        self.states[row.state] -= 1
        self.unread -= row.read_at is None and row.state is RoomState.UNKNOWN
        self._count_thresholds(row, -1)
        if row.number != NOWHERE:
            self._hide(row, ceases=self._selection is not None)
        self.note((room_id,))

    def _sum_up(self, room_id: str, row: Row, users: int | None, now: float) -> None:
        """Add the user-seconds since the reading before, if that was published until now. ``None``: add nothing."""
        seconds, before = now - row.read_at if row.read_at is not None else 0.0, row.user_seconds
        if users is not None and row.users is not None and seconds > 0.0 and not self._is_stale(row, now):
            added = 0.5 * (row.users + users) * seconds
            row.user_seconds += added
            self.user_seconds = (self.user_seconds or 0.0) + added
        if users is not None:
            self._tell_user_seconds(row, row.user_seconds if self.changed is None else before)
        self._put_value(room_id, row, _USER_SECONDS, _total(row.told_user_seconds))

    def _tell_user_seconds(self, row: Row, seconds: float) -> None:
        if seconds > row.told_user_seconds:
            self.told_user_seconds += seconds - row.told_user_seconds
            row.told_user_seconds = seconds

    def _is_stale(self, row: Row, now: float) -> bool:
        """Whether the last reading is too old at this monotonic time, swept or not."""
        own = row.batch.max_age if row.batch else None
        return row.read_at is None or now - row.read_at > (self.max_staleness if own is None else own)

    def _set_values(self, room_id: str, row: Row, reading: Reading, arrived: float) -> None:
        """Replace the previous reading. A line whose value is unchanged stays as it is."""
        if reading.users != row.users:
            self.users += reading.users - (row.users or 0)
            if row.users is not None:
                self._sizes[bisect_left(SIZES, row.users)] -= 1
            self._sizes[bisect_left(SIZES, reading.users)] += 1
            row.users = reading.users
            self._put_value(room_id, row, _USERS, _count(reading.users))
            if reading.users > row.limit or room_id in self.above:
                self._compare_with_thresholds(row, reading.users, arrived)
        if reading.admin_users != row.admin_users:
            row.admin_users = reading.admin_users
            self._put_value(room_id, row, _ADMIN_USERS, _count(reading.admin_users))
        if reading.invisible_users != row.invisible_users:
            row.invisible_users = reading.invisible_users
            self._put_value(room_id, row, _INVISIBLE_USERS, _count(reading.invisible_users))
        if reading.exists != row.exists:
            row.exists = reading.exists
            self._put_value(room_id, row, _EXISTS, _count(reading.exists))
        row.missing = reading.missing

    def _compare_with_thresholds(self, row: Row, users: int | None, now: float) -> None:
        """
        Update ``above`` after a reading, or after a change of thresholds. Expiry does not come here: an unknown room
        stays above until a reading proves the opposite.
        """
        room_id = row.room.id
        severity = None if users is None else row.room.thresholds.exceeded(users)
        if users is None or severity is None:
            self.above.pop(room_id, None)
            return
        before = self.above.get(room_id)
        began = since = before.began if before else now
        if severity is Severity.CRITICAL:
            since = before.since if before and before.severity is severity else now
        self.above[room_id] = Above(severity, since, began, users)

    def _put_value(self, room_id: str, row: Row, column: int, value: bytes | None) -> None:
        """Write a value at the end of its line; ``None`` removes the line. Does nothing if there shall be no line."""
        if row.number == NOWHERE:
            return
        if not self._columns[column]:
            if self._arranging:  # the line is of a family that was chosen before
                self._pages.put(row.number, column, ABSENT)
            return
        lines, place = self._pages.page(row.number).columns[column], row.number % ROWS
        if value is None:
            lines[place] = ABSENT
        elif line := lines[place]:
            lines[place] = line[: _LENGTHS[column] + row.labels] + value
        else:
            lines[place] = self._line(catalogue.ROOM_METRICS[column], room_id, value)

    def _withdraw(self, row: Row) -> None:
        if row.batch is None:
            return
        if row.number != NOWHERE:
            for column in _VALUES:
                self._pages.put(row.number, column, ABSENT)
        if self._selection is not None:
            self._selection.lose(row.room.id, row.users)
        self.known -= 1
        if row.users is not None:
            self._sizes[bisect_left(SIZES, row.users)] -= 1
        self.users -= row.users or 0
        self._leave_batch(row.batch)
        row.users = row.admin_users = row.invisible_users = row.exists = row.batch = None
        if row.state is not RoomState.REFUSED:
            self._set_state(row, row.last_known())

    def _order(self, batch: Batch) -> dict[Batch, None]:
        """The batches that may be published for the same time as this one, in order of arrival."""
        if batch.max_age is None:
            return self._batches
        return self._own_batches.setdefault(batch.max_age, {})

    def _orders(self) -> Iterator[dict[Batch, None]]:
        yield self._batches
        yield from self._own_batches.values()

    def _leave_batch(self, batch: Batch) -> None:
        """One room of the batch has a newer reading, or none any more."""
        batch.published -= 1
        if not batch.published:
            del self._order(batch)[batch]

    def _set_state(self, row: Row, state: RoomState) -> None:
        if state is not row.state:
            self.states[row.state] -= 1
            self.states[state] += 1
            if row.read_at is None:
                self.unread += (state is RoomState.UNKNOWN) - (row.state is RoomState.UNKNOWN)
            if self._selection is not None and (state in _TROUBLE) is not (row.state in _TROUBLE):
                self._selection.trouble(row.room.id, begins=state in _TROUBLE)
            row.state = state

    def _line(self, metric: Metric, room_id: str, value: bytes, more: str = "") -> bytes:
        return f"{metric.name}{self._line_labels(room_id, more)}".encode() + value

    def _line_labels(self, room_id: str, more: str = "") -> str:
        return f'{{{self._labels},room="{escape_label(room_id)}"{more}}}'


def _sorted(batches: Iterable[Batch]) -> dict[Batch, None]:
    return dict.fromkeys(sorted(batches, key=lambda batch: batch.arrival.monotonic))


class Table:
    """
    The rooms of all sources, by source name, in the order of the config.

    Iteration, ``in`` and snapshots leave out sources that are hidden: another replica of the cluster publishes them.
    """

    def __init__(self) -> None:
        self._all: dict[str, SourceTable] = {}
        self._sources: dict[str, SourceTable] = {}
        self._hidden: frozenset[str] = frozenset()
        self._generation = 0

    def __getitem__(self, source: str) -> SourceTable:
        return self._all[source]

    def __contains__(self, source: str) -> bool:
        return source in self._sources

    def __iter__(self) -> Iterator[tuple[str, SourceTable]]:
        return iter(self._sources.items())

    def replace(self, sources: Mapping[str, SourceTable]) -> None:
        """Replace all sources by these."""
        self._all = dict(sources)
        self._show()

    def hide(self, names: Iterable[str]) -> None:
        """Hide exactly these sources from now on."""
        hidden = frozenset(names)
        if hidden != self._hidden:
            self._hidden = hidden
            self._show()

    def _show(self) -> None:
        self._sources = {name: source for name, source in self._all.items() if name not in self._hidden}
        self._generation += 1

    def expire(self, now: float) -> None:
        """Withdraw the readings of every source that are too old at this monotonic time."""
        for source in self._all.values():
            source.expire(now)

    def version(self) -> tuple[int, ...]:
        """A value that changes whenever a line may have changed."""
        return (self._generation, *(source.version for source in self._sources.values()))

    def snapshot(self) -> list[Page]:
        """The lines of all sources as they are now. Later readings do not change it."""
        return [page for source in self._sources.values() for page in source.snapshot()]


def escape_label(value: str) -> str:
    """A label value, escaped for both exposition formats."""
    return encodable(value).replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _columns(families: Iterable[Family]) -> tuple[bool, ...]:
    """Which columns have lines."""
    chosen = {catalogue.FAMILIES[family] for family in families}
    return tuple([metric in chosen for metric in catalogue.ROOM_METRICS])


def _timestamp(arrival: Arrival) -> bytes:
    return b" %.3f\n" % arrival.unix


def _total(seconds: float) -> bytes:
    return b" %.3f\n" % seconds


def _count(value: int | None) -> bytes | None:
    """The end of a line: a space, the number and a newline."""
    return None if value is None else b" %d\n" % value
