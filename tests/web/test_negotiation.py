"""
What a scraper accepts, and what it gets.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.exposition import OPENMETRICS_TYPE, TEXT_TYPE
from exporter.web.negotiation import accepts_gzip, choices, content_type

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
TEXT_BEFORE_OPENMETRICS = (
    "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.4"
)
"""Of a Prometheus 3 with `scrape_protocols: [PrometheusText0.0.4, OpenMetricsText1.0.0]`."""
TELEGRAF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
    "text/plain;version=0.0.4;q=0.3"
)
PROTOBUF_FIRST = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/plain",
        "text/*",
        "text/plain; version=0.0.4; charset=utf-8",
        "TEXT/PLAIN",
        "application/json",
        "application/vnd.google.protobuf",
        TEXT_BEFORE_OPENMETRICS,
        TELEGRAF,
        PROTOBUF_FIRST,
        BROWSER,
        "application/openmetrics-text;version=2.0.0",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0,*/*",
        "application/openmetrics-text;version=1.0.0;q=0,*/*",
        "application/openmetrics-text;q=0.4,text/plain;q=0.5",
        "application/openmetrics-text;q=0.4,text/*;q=0.5",
        "application/openmetrics-text;q=1.5",
        "application/openmetrics-text;q=nan",
        "application/openmetrics-text;q=",
        ";;;,,,=",
    ],
)
def test_text_unless_openmetrics_is_wanted(accept: str) -> None:
    """
    Who does not ask for OpenMetrics, or likes it less, or asks for nothing that we have, gets the text format.
    """
    assert TEXT_TYPE == content_type(accept)


@pytest.mark.parametrize(
    "accept",
    [
        PROMETHEUS_2,
        PROMETHEUS_3,
        f"application/openmetrics-text;version=2.0.0;q=0.7,{PROMETHEUS_3}",
        "application/openmetrics-text",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        'application/openmetrics-text; version="1.0.0"',
        "Application/OpenMetrics-Text",
        "application/openmetrics-text,text/plain",
        "text/plain,application/openmetrics-text",
        "text/plain;q=0.5,application/openmetrics-text;q=0.5",
        "text/plain;q=0.2, application/openmetrics-text ; q=0.3",
        "application/openmetrics-text;version=0.0.1;q=0.2,application/openmetrics-text;version=1.0.0;q=0.3",
        "application/*",
        "text/plain;q=0,*/*",
        "application/openmetrics-text;q=0.001",
    ],
)
def test_openmetrics_where_it_is_liked_at_least_as_much(accept: str) -> None:
    """
    Who names OpenMetrics and likes the text format no more gets OpenMetrics 1.0.0.
    """
    assert OPENMETRICS_TYPE == content_type(accept)


def test_the_old_version_of_openmetrics_is_named_where_only_that_was_asked_for() -> None:
    """
    The two versions differ in name alone; a client that knows the old one is told that name.
    """
    accept = "application/openmetrics-text;version=0.0.1,text/plain;q=0.5"

    assert "application/openmetrics-text; version=0.0.1; charset=utf-8" == content_type(accept)


@pytest.mark.parametrize(
    "accept_encoding",
    [
        "gzip",
        "GZIP",
        "x-gzip",
        "gzip, deflate, br",
        "br;q=1.0, gzip;q=0.8, *;q=0.1",
        "*",
        "gzip;q=0.5,identity;q=0.5",
        "identity;q=0, gzip;q=0.001",
        "deflate, *;q=0.3",
    ],
)
def test_gzip_where_it_is_liked(accept_encoding: str) -> None:
    """
    Gzip named or meant by a star, unless uncompressed bytes are liked better.
    """
    assert accepts_gzip(accept_encoding)


@pytest.mark.parametrize(
    "accept_encoding",
    [
        "",
        "identity",
        "br",
        "gzip;q=0",
        "gzip;q=0.000, *",
        "*;q=0",
        "gzip;q=0.4,identity;q=0.5",
        "*;q=0.4,identity",
        "gzip;q=2",
        "gzip;q=x",
        "gzipped",
    ],
)
def test_no_gzip_where_it_is_not(accept_encoding: str) -> None:
    """
    Nobody gets gzip who excludes it or does not mention it.
    """
    assert not accepts_gzip(accept_encoding)


@given(
    st.text(alphabet=st.sampled_from(' ,;=*/."qgziptextplaincationopenmetrics0123456789-'), max_size=120) | st.text()
)
def test_any_header_is_answered(header: str) -> None:
    """
    No header, however odd, is an error, and no weight is outside 0 to 1.
    """
    assert content_type(header).startswith(("text/plain; version=0.0.4", "application/openmetrics-text; version="))
    assert accepts_gzip(header) in (True, False)
    assert all(0 <= choice.weight <= 1 for choice in choices(header))


WEIGHTS = st.sampled_from(["1", "0.9", "0.5", "0.25", "0.001", "0"])


@given(openmetrics=WEIGHTS, text=WEIGHTS, gzip=WEIGHTS, identity=WEIGHTS)
def test_the_larger_weight_wins(openmetrics: str, text: str, gzip: str, identity: str) -> None:
    """
    Of two formats or encodings the one with the larger weight is sent, the better one when they are equal.
    """
    accept = f"text/plain;q={text},application/openmetrics-text;q={openmetrics}"
    encodings = f"identity;q={identity},gzip;q={gzip}"

    assert (float(openmetrics) >= float(text) and float(openmetrics) > 0) == (OPENMETRICS_TYPE == content_type(accept))
    assert (float(gzip) >= float(identity) and float(gzip) > 0) == accepts_gzip(encodings)
