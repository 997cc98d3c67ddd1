"""
A site that is served while a test runs.
"""

from __future__ import annotations

import logging
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
def as_commands_set_logging_up():
    """
    Libraries are as quiet as in a process that a command has started.
    """
    logger = logging.getLogger("aiohttp.server")
    before = list(logger.filters)
    logs.quieten_libraries()
    yield
    logger.filters[:] = before
