"""
The OpenAPI description of the JSON API, and whether a running server keeps to it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import Case, GenerationMode
from schemathesis.schemas import BaseSchema

from exporter.model import FailureKind, Reading, Room, Thresholds
from exporter.web.parameters import encode_cursor
from tests.web.cluster import HERE, OTHER, cluster
from tests.web.site import Site
from tests.web.test_api import fetch

EDITIONS = [60, pytest.param(10_000, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]
SOURCES = ("live", "im")
ROOMS = "/api/v1/rooms"

schemathesis.openapi.format("source", st.sampled_from(["", *SOURCES]))
schemathesis.openapi.format(
    "cursor", st.builds(encode_cursor, st.tuples(st.floats(-10, 10), st.sampled_from(SOURCES), st.text(max_size=5)))
)


def fill(site: Site) -> None:
    """
    Rooms in every state and with every figure.
    """
    rooms: list[Room | str] = [
        Room("a", (("event", "launch"),), Thresholds(3, 6)),
        Room("b", thresholds=Thresholds(warning=3)),
        "c",
        "房间",
    ]
    site.watch("live", rooms)
    site.watch("im", ["x", "y", "z"], api="tencent_im")
    site.read("live", {"a": Reading(9, admin_users=1), "b": 2})
    site.read("im", {"x": Reading(0, exists=False, missing=True), "y": Reading(3, exists=True)})
    site.cluster = cluster({"live": HERE, "im": OTHER, "chat": None}, connected=False, error="no answer")
    for kind in FailureKind:
        site.fail("im", kind, [f"r{number}" for number in range(12)])


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """
    The URL of a site with rooms, served by a thread of its own, since the requests of the test block.
    """
    url: list[str] = []
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with Site() as site:
            fill(site)
            url.append(site.server.url)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(60)
    yield url[0]
    stop.set()
    thread.join()


@pytest.fixture(scope="module")
def schema(server: str) -> BaseSchema:
    """
    The description, as a client reads it.
    """
    return schemathesis.openapi.from_url(f"{server}/api/v1/openapi.json")


async def test_it_is_openapi_3_1(site: Site) -> None:
    """
    The document is one by OpenAPI's own rules, and says which version of the exporter it is of.
    """
    document = await fetch(site, "/api/v1/openapi.json")

    OpenAPIV31SpecValidator(document).validate()
    assert "3.1.1" == document["openapi"]
    assert {"/api/v1/sources", "/api/v1/rooms", "/api/v1/cluster", "/api/v1/openapi.json", "/sd/rooms"} == document[
        "paths"
    ].keys()


async def test_every_endpoint_of_the_api_is_described(site: Site) -> None:
    """
    What the server serves under ``/api/`` and ``/sd/`` and what the description has are the same.
    """
    served = {resource.canonical for resource in site.server._app.router.resources()}
    document = await fetch(site, "/api/v1/openapi.json")

    assert {path for path in served if path.startswith(("/api/", "/sd/"))} == document["paths"].keys()


@pytest.mark.parametrize("examples", EDITIONS)
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("path", [ROOMS, "/sd/rooms"])
def test_the_server_keeps_to_it(schema: BaseSchema, path: str, mode: GenerationMode, examples: int) -> None:
    """
    Whatever the description allows is answered as it says, and whatever it does not is refused as it says.
    """

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=schema[path]["GET"].as_strategy(generation_mode=mode))
    def holds(case: Case[Any]) -> None:
        # An empty value is none, whatever schemathesis meant by it.
        assume(mode is GenerationMode.POSITIVE or all(case.query.values()))
        case.call_and_validate()

    holds()


@pytest.mark.parametrize("path", ["/api/v1/sources", "/api/v1/cluster", "/api/v1/openapi.json"])
def test_endpoints_without_parameters(schema: BaseSchema, path: str) -> None:
    """
    They are answered as described, and take no parameter.
    """
    case = schema[path]["GET"].Case()
    odd = schema[path]["GET"].Case(query={"limit": "1"})

    case.call_and_validate()
    response = odd.call()

    assert 400 == response.status_code
    assert {"error": "unknown parameter 'limit'; accepted: none"} == response.json()
