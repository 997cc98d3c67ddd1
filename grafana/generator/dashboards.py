"""
Every dashboard as JSON, and where the files are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.generator import occupancy, polling_health, room

FOLDER: Final = Path(__file__).resolve().parents[1] / "dashboards"


def rendered() -> dict[str, str]:
    """The text of every dashboard file, by its name."""
    dashboards = {
        "occupancy.json": occupancy.dashboard(),
        "polling-health.json": polling_health.dashboard(),
        "room.json": room.dashboard(),
    }
    return {
        name: json.dumps(dashboard.build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for name, dashboard in dashboards.items()
    }


def write() -> None:
    """Write the files that ``rendered`` describes."""
    for name, text in rendered().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
