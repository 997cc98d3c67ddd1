"""
The exporter-toolkit's own tests of its web config, row by row.
"""

from __future__ import annotations

import asyncio
import re

import pytest
from click.testing import CliRunner

from exporter.cli import app
from exporter.config import ConfigError
from tests.web.security.asking import outcome
from tests.web.security.rows import ANSWERED, DATA, SERVER_BEHAVIOUR, START, USERS, YAML_FILES, Row
from tests.web.site import Site


def by_name(rows):
    """
    Rows as parameters.
    """
    return [pytest.param(row, id=row.name) for row in rows]


async def run(row: Row) -> str:
    """
    Start a server with a row's web config, and ask it what the row asks.
    """
    async with Site(config_file=DATA / row.file if row.file else None) as site:
        return await asyncio.to_thread(outcome, site.server.port, row.client)


@pytest.mark.parametrize("row", by_name([*YAML_FILES, *SERVER_BEHAVIOUR, *USERS]))
async def test_run(row: Row):
    """
    What the toolkit starts with is started with, what it refuses is refused, and clients meet the same.
    """
    if row.here == START:
        with pytest.raises(ConfigError, match=row.message):
            await run(row)
    else:
        assert row.here == await run(row)


@pytest.mark.parametrize("row", by_name(YAML_FILES))
def test_validate(row: Row):
    """
    `check --web.config.file` says of a file what a start says.
    """
    result = CliRunner().invoke(app, ["check", f"--web.config.file={DATA / row.file}"])

    assert (0 if row.here == ANSWERED else 1) == result.exit_code
    assert re.search(row.message, result.output)


@pytest.mark.parametrize("row", by_name([row for row in (*YAML_FILES, *SERVER_BEHAVIOUR, *USERS) if not row.why]))
def test_the_same_outcome(row: Row):
    """
    A row without a reason of its own ends as in the toolkit: refused where that refuses, the same answer or alert.
    """
    same = {
        "valid": ANSWERED,
        "HTTP answer to an HTTPS client": "no TLS spoken",
        "HTTP request to an HTTPS server": "400 Bad Request",
    }

    assert row.here in (row.toolkit, same.get(row.toolkit), START)
    if row.here == START:
        assert row.toolkit != ANSWERED
