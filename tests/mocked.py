"""
Answers that aioresponses gives in place of a server.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import aiohttp


class MockedResponse(aiohttp.ClientResponse):
    """
    The ``response_class`` to name with every answer: ``mocked.get(url, response_class=MockedResponse)``.

    aiohttp 3.14 wants to know how many bytes were written to the connection, and aioresponses 0.7.9 does not tell it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **kwargs)
