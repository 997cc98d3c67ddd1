"""
The files at the top of the tree, read once.
"""

import tomllib
from pathlib import Path
from typing import Any

import yaml

from exporter.cli import run_command

ROOT = Path(__file__).parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
VERSION: str = PYPROJECT["project"]["version"]
(_LISTEN_ADDRESS,) = (str(each.default) for each in run_command.params if each.name == "web_listen_address")
PORT = int(_LISTEN_ADDRESS.removeprefix(":"))
"""Where `run` listens when nobody says otherwise."""


def document(path: str) -> Any:
    """
    A YAML file of one document.

    Args:
        path: Relative to the top of the tree.
    """
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
