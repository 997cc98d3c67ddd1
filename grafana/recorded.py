"""
The series that ``deploy/prometheus/rules/recording.yml`` computes from those of every room.
"""

from __future__ import annotations

from typing import Final

FULLEST_ROOMS: Final = "source:rtc_room_users:topk20"
NEAREST_THRESHOLD: Final = "source:rtc_room_users_threshold_share:topk20"
USERS_LOST: Final = "source:rtc_room_users_lost:topk20"
ROOMS_BY_SIZE: Final = "source:rtc_rooms_by_size:count"

RECORDED: Final = (FULLEST_ROOMS, NEAREST_THRESHOLD, USERS_LOST, ROOMS_BY_SIZE)
