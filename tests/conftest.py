"""
What every test may use, and what none leaves behind.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog

from exporter import logs

pytest_plugins = ["tests.programs"]


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """
    What a test sets for the log of its process is set back.
    """
    root, quiet = logging.getLogger(), logging.getLogger("aiohttp.server")
    before = root.level, list(root.handlers), list(quiet.filters), logging.raiseExceptions
    yield
    root.level, root.handlers[:], quiet.filters[:], logging.raiseExceptions = before
    structlog.reset_defaults()
    logs._writer = None


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """
    Say on the terminal what was measured.
    """

    def write(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {text}\n")

    return write
