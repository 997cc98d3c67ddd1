"""
All metrics: name, type, help and labels. The table, the documents, the dashboards and the tests read them from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from exporter.model import Family

MetricType = Literal["gauge", "counter", "histogram"]

ROOM: Final = ("vendor", "api", "source", "room")
SOURCE: Final = ("vendor", "api", "source")


@dataclass(frozen=True, slots=True)
class Metric:
    """
    One metric family.

    Args:
        name: As in the text format; counters end in ``_total``.
        labels: In the order of publication. On ``rtc_room_info`` the room's own labels follow.
    """

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()


_CACHED: Final = "; cached from the last poll, see rtc_room_reading_timestamp_seconds"

ROOM_USERS = Metric(
    "rtc_room_users",
    "gauge",
    f"Users in the room as the vendor counts them, admin and invisible users included{_CACHED}.",
    ROOM,
)
ROOM_ADMIN_USERS = Metric(
    "rtc_room_admin_users", "gauge", f"Admin users among rtc_room_users; zego_rtc only{_CACHED}.", ROOM
)
ROOM_INVISIBLE_USERS = Metric(
    "rtc_room_invisible_users",
    "gauge",
    "Invisible users among rtc_room_users; volcengine_rtc only. The vendor lists at most 10000 of them and does not say"
    f" whether this total stops there too{_CACHED}.",
    ROOM,
)
ROOM_EXISTS = Metric(
    "rtc_room_exists",
    "gauge",
    f"1 if the vendor says that the room exists, 0 if it says that it does not; absent for zego_rtc, which cannot tell"
    f"{_CACHED}.",
    ROOM,
)
ROOM_READING_TIMESTAMP = Metric(
    "rtc_room_reading_timestamp_seconds",
    "gauge",
    "Unix time at which the vendor's reply behind this room's values arrived.",
    ROOM,
)
ROOM_INFO = Metric(
    "rtc_room_info",
    "gauge",
    "1 for every watched room, known or unknown, that has series; carries the room's own labels.",
    ROOM,
)
ROOM_USERS_THRESHOLD = Metric(
    "rtc_room_users_threshold", "gauge", "Configured users threshold of the room.", (*ROOM, "severity")
)
ROOM_USER_SECONDS = Metric(
    "rtc_room_user_seconds_total",
    "counter",
    "Users times seconds, summed up between readings while the room was known: its rate is the average number of users."
    " Only where families has user_seconds.",
    ROOM,
)
ROOM_METRICS: Final = (
    ROOM_USERS,
    ROOM_ADMIN_USERS,
    ROOM_INVISIBLE_USERS,
    ROOM_EXISTS,
    ROOM_READING_TIMESTAMP,
    ROOM_INFO,
    ROOM_USERS_THRESHOLD,
    ROOM_USER_SECONDS,
)
FAMILIES: Final = dict(zip(Family, ROOM_METRICS, strict=True))
"""The metric of each family of room series."""

SOURCE_UP = Metric(
    "rtc_source_up",
    "gauge",
    "1 while the source's state is ok and a call succeeded within the last two intervals.",
    SOURCE,
)
SOURCE_STATE = Metric(
    "rtc_source_state", "gauge", "1 for the state that the source is in, 0 for the others.", (*SOURCE, "state")
)
SOURCE_ROOMS = Metric("rtc_source_rooms", "gauge", "Watched rooms by state.", (*SOURCE, "state"))
SOURCE_USERS = Metric(
    "rtc_source_users", "gauge", "Sum of users over all known rooms, with or without series of their own.", SOURCE
)
SOURCE_USER_SECONDS = Metric(
    "rtc_source_user_seconds_total",
    "counter",
    "The same as rtc_room_user_seconds_total, summed up over all rooms; absent while no room is known.",
    SOURCE,
)
SOURCE_ROOM_SIZES = Metric(
    "rtc_source_room_sizes",
    "gauge",
    "Known rooms with at most so many users, with or without series of their own.",
    (*SOURCE, "le"),
)
SOURCE_ROOMS_WITH_THRESHOLD = Metric(
    "rtc_source_rooms_with_threshold",
    "gauge",
    "Watched rooms that have such a threshold, with or without series of their own.",
    (*SOURCE, "severity"),
)
SOURCE_PUBLISHED_ROOMS = Metric(
    "rtc_source_published_rooms", "gauge", "Watched rooms that have series of their own.", SOURCE
)
SOURCE_PUBLISHED_CHANGES = Metric(
    "rtc_source_published_rooms_changes_total",
    "counter",
    "Rooms that began or ceased to have series of their own, those that came and went included; only where publish is"
    " configured.",
    (*SOURCE, "change"),
)
SOURCE_INTERVAL = Metric("rtc_source_interval_seconds", "gauge", "Wanted time between two readings of a room.", SOURCE)
SOURCE_LONGEST_INTERVAL = Metric(
    "rtc_source_longest_interval_seconds",
    "gauge",
    "Wanted time between two readings of the least important room; absent without a cadence.",
    SOURCE,
)
SOURCE_ROOMS_BY_INTERVAL = Metric(
    "rtc_source_rooms_by_interval",
    "gauge",
    "Rooms whose own wanted interval is at most le seconds; absent without a cadence.",
    (*SOURCE, "le"),
)
SOURCE_ACHIEVED_INTERVAL = Metric(
    "rtc_source_achieved_interval_seconds",
    "gauge",
    "Median time between two readings of a room, over those of the last two minutes or three intervals, whichever is"
    " longer; absent if no room was read again in that time.",
    SOURCE,
)
SOURCE_OLDEST_READING = Metric(
    "rtc_source_oldest_reading_timestamp_seconds",
    "gauge",
    "Unix time at which the oldest reading now published arrived.",
    SOURCE,
)
SOURCE_LAST_SUCCESS = Metric(
    "rtc_source_last_success_timestamp_seconds", "gauge", "Unix time of the last call that gave a reading.", SOURCE
)
SOURCE_CLOCK_SKEW = Metric(
    "rtc_source_clock_skew_seconds",
    "gauge",
    "Our clock minus the vendor's, from the Date header of its replies, give or take one second.",
    SOURCE,
)
SOURCE_CALLS = Metric(
    "rtc_source_calls_total",
    "counter",
    "Calls to the vendor, including retries and calls that could not connect.",
    SOURCE,
)
SOURCE_FAILED_CALLS = Metric(
    "rtc_source_failed_calls_total",
    "counter",
    "Calls that gave no reading of one or more of their rooms, by reason.",
    (*SOURCE, "reason"),
)
SOURCE_LAST_FAILURE = Metric(
    "rtc_source_last_failure_info",
    "gauge",
    "1 for the last failure of the source, until its calls have succeeded for two intervals, ten seconds at least; code"
    " is the vendor's, or in lower case the exporter's own, and meaning says what it stands for and what to mend.",
    (*SOURCE, "reason", "code", "meaning"),
)
SOURCE_UNREQUESTED_ROOMS = Metric(
    "rtc_source_unrequested_rooms_total",
    "counter",
    "Rooms in the vendor's replies that the call had not asked for; they are ignored.",
    SOURCE,
)
SOURCE_CALL_DURATION = Metric(
    "rtc_source_call_duration_seconds",
    "histogram",
    "Duration of one call that was written to the wire, from its slot to its end: the parsed reply, a time-out or any"
    " other failure.",
    SOURCE,
)
SOURCE_METRICS: Final = (
    SOURCE_UP,
    SOURCE_STATE,
    SOURCE_ROOMS,
    SOURCE_USERS,
    SOURCE_USER_SECONDS,
    SOURCE_ROOM_SIZES,
    SOURCE_ROOMS_WITH_THRESHOLD,
    SOURCE_PUBLISHED_ROOMS,
    SOURCE_PUBLISHED_CHANGES,
    SOURCE_INTERVAL,
    SOURCE_LONGEST_INTERVAL,
    SOURCE_ROOMS_BY_INTERVAL,
    SOURCE_ACHIEVED_INTERVAL,
    SOURCE_OLDEST_READING,
    SOURCE_LAST_SUCCESS,
    SOURCE_CLOCK_SKEW,
    SOURCE_CALLS,
    SOURCE_FAILED_CALLS,
    SOURCE_LAST_FAILURE,
    SOURCE_UNREQUESTED_ROOMS,
    SOURCE_CALL_DURATION,
)

BUDGET_LIMIT = Metric(
    "rtc_budget_limit_calls_per_second", "gauge", "Configured limit of the budget, shared by its sources.", ("budget",)
)
BUDGET_PACE = Metric(
    "rtc_budget_pace_calls_per_second",
    "gauge",
    "Calls per second that are allowed now; below the limit after the vendor rejected calls as too many.",
    ("budget",),
)
BUDGET_CALLS = Metric("rtc_budget_calls_total", "counter", "Calls written to the wire on this budget.", ("budget",))
BUDGET_HELD = Metric(
    "rtc_budget_held",
    "gauge",
    "1 while this exporter may make the budget's calls, 0 while another one may.",
    ("budget",),
)
BUDGET_METRICS: Final = (BUDGET_LIMIT, BUDGET_PACE, BUDGET_CALLS, BUDGET_HELD)

_FOUND: Final = "absent without discovery"
DISCOVERY_ROOMS = Metric(
    "rtc_discovery_rooms",
    "gauge",
    f"Room ids that are named, by who names them; one that several name counts for each; {_FOUND}.",
    (*SOURCE, "origin"),
)
DISCOVERY_STATE_ROOMS = Metric(
    "rtc_discovery_state_rooms",
    "gauge",
    "Rooms by how far they have come: candidate (polled, not published), active, leaving (there are signs of its end);"
    f" {_FOUND}.",
    (*SOURCE, "state"),
)
DISCOVERY_LAST_SUCCESS = Metric(
    "rtc_discovery_last_success_timestamp_seconds",
    "gauge",
    "Unix time of the last refresh that named rooms, complete or partial; of several http_sd endpoints the one that is"
    " longest ago, absent until all have answered once.",
    (*SOURCE, "origin"),
)
DISCOVERY_INTERVAL = Metric(
    "rtc_discovery_interval_seconds",
    "gauge",
    "Configured time between two refreshes; of several http_sd endpoints the longest.",
    (*SOURCE, "origin"),
)
DISCOVERY_LAST_COMPLETE = Metric(
    "rtc_discovery_last_complete_timestamp_seconds",
    "gauge",
    "Unix time of the last complete pass over the vendor's list.",
    SOURCE,
)
DISCOVERY_REFRESHES = Metric(
    "rtc_discovery_refreshes_total",
    "counter",
    "Refreshes of http_sd endpoints and passes over the vendor's list, by how they ended.",
    (*SOURCE, "origin", "result"),
)
DISCOVERY_REFRESH_DURATION = Metric(
    "rtc_discovery_refresh_duration_seconds",
    "histogram",
    "Duration of one refresh, or of one pass with all its pages.",
    (*SOURCE, "origin"),
)
DISCOVERY_ADDED = Metric(
    "rtc_discovery_rooms_added_total",
    "counter",
    "Rooms that were watched anew, candidates included, by who named them first. What a list names when it is read"
    " for the first time was there before, and is not counted.",
    (*SOURCE, "origin"),
)
DISCOVERY_DROPPED = Metric(
    "rtc_discovery_rooms_dropped_total",
    "counter",
    "Rooms that are watched no longer: missing (the vendor says that it does not exist), idle (zego_rtc: 0 users for"
    " long), list (first missed in the vendor's list), unconfirmed (a candidate that no poll confirmed), refused, or no"
    " longer named by http_sd, config, files.",
    (*SOURCE, "reason"),
)
DISCOVERY_REJECTED = Metric(
    "rtc_discovery_rooms_rejected_total",
    "counter",
    "Ids that were named and not taken: max_rooms, rate (too many new ones), filter (include, exclude), invalid_id. An"
    " id counts again with each refresh that names it.",
    (*SOURCE, "reason"),
)
DISCOVERY_LIMIT = Metric(
    "rtc_discovery_rooms_limit", "gauge", f"As many rooms are watched at most (max_rooms); {_FOUND}.", SOURCE
)
ROOM_LIFETIME = Metric(
    "rtc_room_lifetime_seconds",
    "histogram",
    "From a published room's first being heard of to its end, observed when it is no longer watched; only where rooms"
    " find themselves.",
    SOURCE,
)
CALLBACK_REQUESTS = Metric(
    "rtc_callback_requests_total",
    "counter",
    "Callbacks that came to the source's address, by what became of them.",
    (*SOURCE, "result"),
)
CALLBACK_LAST_EVENT = Metric(
    "rtc_callback_last_event_timestamp_seconds",
    "gauge",
    "Unix time at which the last callback with a good signature came.",
    SOURCE,
)
CALLBACK_DELAY = Metric(
    "rtc_callback_delay_seconds",
    "histogram",
    "From the vendor's time in a callback to its coming; clocks that differ add to it.",
    SOURCE,
)
DISCOVERY_METRICS: Final = (
    DISCOVERY_ROOMS,
    DISCOVERY_STATE_ROOMS,
    DISCOVERY_LAST_SUCCESS,
    DISCOVERY_INTERVAL,
    DISCOVERY_LAST_COMPLETE,
    DISCOVERY_REFRESHES,
    DISCOVERY_REFRESH_DURATION,
    DISCOVERY_ADDED,
    DISCOVERY_DROPPED,
    DISCOVERY_REJECTED,
    DISCOVERY_LIMIT,
    ROOM_LIFETIME,
    CALLBACK_REQUESTS,
    CALLBACK_LAST_EVENT,
    CALLBACK_DELAY,
)

_REPLICA: Final = "absent without a cluster"
CLUSTER_INFO = Metric(
    "rtc_cluster_info",
    "gauge",
    "1; carries the name of this replica, the engine of its cluster, and a hash of what replicas' configs must agree"
    f" on; {_REPLICA}.",
    ("replica", "engine", "config"),
)
CLUSTER_CONNECTED = Metric(
    "rtc_cluster_connected",
    "gauge",
    f"1 while the engine answered this replica's last exchange, 0 while it did not; {_REPLICA}.",
)
CLUSTER_REPLICAS = Metric(
    "rtc_cluster_replicas",
    "gauge",
    "Number of replicas whose heartbeat this replica sees, itself included.",
)
CLUSTER_LEASE_VALID_UNTIL = Metric(
    "rtc_cluster_lease_valid_until_timestamp_seconds",
    "gauge",
    "Unix time until which this replica may call on the budgets that it holds; absent while it holds none.",
)
CLUSTER_EXCHANGES = Metric(
    "rtc_cluster_exchanges_total",
    "counter",
    "Exchanges with the engine: answered, refused (the engine answered with an error), timeout, or unreachable.",
    ("result",),
)
CLUSTER_EXCHANGE_DURATION = Metric(
    "rtc_cluster_exchange_duration_seconds",
    "histogram",
    "Duration of one exchange with the engine, answered or not.",
)
CLUSTER_BUDGETS_GAINED = Metric(
    "rtc_cluster_budgets_gained_total",
    "counter",
    "Budgets that this replica took over: released by their holder, expired (its lease ended without a word), or first"
    " (nobody had held them).",
    ("how",),
)
CLUSTER_BUDGETS_LOST = Metric(
    "rtc_cluster_budgets_lost_total",
    "counter",
    "Budgets that this replica holds no longer: released by itself, expired (it could not renew its lease), or taken"
    " (another replica has them).",
    ("how",),
)
CLUSTER_FENCED_CALLS = Metric(
    "rtc_cluster_fenced_calls_total",
    "counter",
    "Calls that were ready to be written and were not, since the lease had ended meanwhile.",
)
SOURCE_INHERITED_READINGS = Metric(
    "rtc_source_inherited_readings_total",
    "counter",
    f"Readings of rooms that this replica took over from another one; {_REPLICA}.",
    SOURCE,
)
CLUSTER_METRICS: Final = (
    CLUSTER_INFO,
    CLUSTER_CONNECTED,
    CLUSTER_REPLICAS,
    CLUSTER_LEASE_VALID_UNTIL,
    CLUSTER_EXCHANGES,
    CLUSTER_EXCHANGE_DURATION,
    CLUSTER_BUDGETS_GAINED,
    CLUSTER_BUDGETS_LOST,
    CLUSTER_FENCED_CALLS,
    SOURCE_INHERITED_READINGS,
)

ROOMS_FILE_RELOAD = Metric(
    "rtc_rooms_file_last_reload_successful",
    "gauge",
    "1 if the last reading of the rooms file succeeded, 0 if its old list is kept or, for five minutes, if it is gone "
    "and rooms went with it.",
    ("file",),
)
BUILD_INFO = Metric(
    "rtc_exporter_build_info", "gauge", "1; carries the versions of the exporter and of Python.", ("version", "python")
)
TOTAL_SHARDS = Metric(
    "rtc_exporter_total_shards",
    "gauge",
    "Number of shards that the config is divided among; the label says which of them this exporter is, from 0 on; "
    "absent without --shard.",
    ("shard",),
)
CONFIG_RELOAD = Metric(
    "rtc_exporter_config_last_reload_successful",
    "gauge",
    "1 if the last reading of the config file succeeded, 0 if the old config is kept.",
)
CONFIG_RELOAD_TIMESTAMP = Metric(
    "rtc_exporter_config_last_reload_success_timestamp_seconds",
    "gauge",
    "Unix time at which the config file was last read successfully.",
)
WEB_CONFIG_RELOAD = Metric(
    "rtc_exporter_web_config_last_reload_successful",
    "gauge",
    "1 if the last reading of the web config and the files that it names succeeded, 0 if the old one is kept; absent"
    " without --web.config.file.",
)
MISSED_RUNS = Metric(
    "rtc_exporter_scheduler_missed_runs_total",
    "counter",
    "Runs of recurring jobs that the scheduler missed or skipped.",
)
UNEXPECTED_ERRORS = Metric(
    "rtc_exporter_unexpected_errors_total", "counter", "Exceptions that only a bug can explain; each is in the log."
)
DROPPED_LOG_LINES = Metric(
    "rtc_exporter_dropped_log_lines_total",
    "counter",
    "Log lines lost because standard error is blocked, full or closed.",
)
SCRAPE_DURATION = Metric(
    "rtc_exporter_scrape_duration_seconds", "histogram", "Time to render one scrape, without sending it."
)
SCRAPE_SIZE = Metric(
    "rtc_exporter_scrape_size_bytes",
    "gauge",
    "Size of the previous complete scrape, before compression.",
)
EXPORTER_METRICS: Final = (
    ROOMS_FILE_RELOAD,
    BUILD_INFO,
    TOTAL_SHARDS,
    CONFIG_RELOAD,
    CONFIG_RELOAD_TIMESTAMP,
    WEB_CONFIG_RELOAD,
    MISSED_RUNS,
    UNEXPECTED_ERRORS,
    DROPPED_LOG_LINES,
    SCRAPE_DURATION,
    SCRAPE_SIZE,
)

CATALOGUE: Final = (
    *ROOM_METRICS,
    *SOURCE_METRICS,
    *DISCOVERY_METRICS,
    *BUDGET_METRICS,
    *CLUSTER_METRICS,
    *EXPORTER_METRICS,
)
"""All metrics of the exporter. ``process_*`` and ``python_*`` come from prometheus_client and are documented there."""
