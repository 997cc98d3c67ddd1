"""
Names of the series that the rules in ``deploy/prometheus/rules/recording.yml`` record.
"""

from __future__ import annotations

from typing import Final

NEAR_THRESHOLD: Final = "room:rtc_room_users_threshold_share:near"
"""One series for each room at 80 % of a threshold or more. There may be many: panels use the counts and the top 20."""
ABOVE_THRESHOLD: Final = "source:rtc_rooms_above_threshold:count"
NEAREST_THRESHOLD: Final = "source:rtc_room_users_threshold_share:topk20"
FULLEST_ROOMS: Final = "source:rtc_room_users:topk20"
USERS_LOST_SHARE: Final = "source:rtc_room_users_lost_share:topk20"
USERS_BEFORE_DROP: Final = "source:rtc_room_users_before_drop:topk20"

RECORDED: Final = (
    NEAR_THRESHOLD,
    ABOVE_THRESHOLD,
    NEAREST_THRESHOLD,
    FULLEST_ROOMS,
    USERS_LOST_SHARE,
    USERS_BEFORE_DROP,
)
