"""
A site that is served while a test runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.web.site import Site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """
    An empty site; a test adds sources and readings.
    """
    async with Site(lifecycle=True) as served:
        yield served
