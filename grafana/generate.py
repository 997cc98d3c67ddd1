"""
Write every dashboard as JSON into ``grafana/dashboards``: ``python grafana/generate.py``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

# A script finds what lies in its own folder; this one wants what lies beside it.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from grafana import occupancy, polling_health, room

FOLDER: Final = Path(__file__).resolve().parent / "dashboards"


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


def main() -> None:
    """Write the files that ``rendered`` describes."""
    for name, text in rendered().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
