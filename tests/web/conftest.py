"""
A site that is served while a test runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from exporter import logs
from tests.web.site import Site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """
    An empty site; a test adds sources and readings.
    """
    async with Site(lifecycle=True) as served:
        yield served


@pytest.fixture(autouse=True)
def as_commands_set_logging_up() -> None:
    """
    Libraries are as quiet as in a process that a command has started.
    """
    logs.quieten_libraries()
