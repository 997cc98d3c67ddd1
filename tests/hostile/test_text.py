r"""
Text from outside that is no text: it is shown with escapes, and spoils nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.logs import Format
from tests.e2e.process import ExporterProcess
from tests.hostile.stage import SOURCE

NO_TEXT = b"b\xff\x1b[2J"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One whose name is no text; a config and a rooms file, whose name is none either, lie in it."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + NO_TEXT))
    folder.mkdir()
    source = {**SOURCE, "base_url": "https://127.0.0.1:1", "rooms_files": ["*.txt"]}
    (folder / "exporter.yml").write_text(json.dumps({"sources": [source]}))
    (folder / os.fsdecode(NO_TEXT + b".txt")).write_text("lobby\n")
    return folder


@pytest.mark.parametrize("form", Format)
async def test_names_of_files(folder, form):
    """
    Every scrape and page goes out, and the log has its lines.
    """
    async with ExporterProcess(folder / "exporter.yml", f"--log.format={form}") as exporter:
        answers = [await exporter.text(path) for path in ("/metrics", "/", "/api/v1/rooms", "/api/v1/sources")]
        (folder / os.fsdecode(NO_TEXT + b".txt")).write_text("lobby\nlobby\n")
        (folder / "exporter.yml").write_text("sources: 5")
        room = await exporter.text("/rooms?source=live&room=lobby")
    log = exporter.log_file.read_bytes()

    assert [200] * 5 == [status for status, _ in (*answers, room)]
    assert 'rtc_rooms_file_last_reload_successful{file="' in answers[0][1]
    assert r"b\\xff" in answers[0][1]
    assert log.decode()
    assert b"\x1b[2J" not in log


@pytest.mark.parametrize("environment", [{}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}])
def test_check_tells_of_them(folder, environment):
    """
    On a terminal of any encoding.
    """
    told = subprocess.run(
        [sys.executable, "-m", "exporter", "check", f"--config.file={folder / 'exporter.yml'}"],
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
    )

    assert 0 == told.returncode, told.stderr
    assert rb"b\xff\x1b[2J" in told.stdout
