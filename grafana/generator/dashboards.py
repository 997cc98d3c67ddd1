"""
Renders all dashboards as JSON, and writes their files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.generator import occupancy, polling_health, room

FOLDER: Final = Path(__file__).resolve().parents[1] / "dashboards"


def rendered() -> dict[str, str]:
    """The text of each dashboard file, by file name."""
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
    """Write all dashboard files."""
    for name, text in rendered().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
