"""
The demo, as a newcomer sees it.
"""

import re
import socket
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.app import WebOptions
from exporter.demo import run_demo
from exporter.errors import UserError
from exporter.logs import Format, Level, configure
from exporter.simulator import APIS
from tests.command import ask, command

ORIGINS = {"config", "http_sd", "vendor_list", "callbacks"}


def apis_with_counts(text):
    """
    The APIs of which a scrape's text has room counts.
    """
    return {
        sample.labels["api"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "rtc_room_users"
    }


@pytest.mark.timeout(180)
def test_it_shows_counts_of_every_api_and_leaves_nothing_behind():
    """
    No credentials, no flags: the page it prints lives, rooms come from all providers, and Ctrl+C ends exporter and
    simulator in peace.
    """
    with command("demo", "--web.listen-address=127.0.0.1:0") as demo:
        page = demo.until(r"Live rooms of six simulated vendor APIs: +(\S+)")[1]
        metrics = demo.until(r"Metrics for Prometheus: +(\S+)")[1]
        simulator = demo.until(r"The simulator's own truth: +http://([\d.]+):(\d+)/_sim")
        before = demo.printed
        seen: set[str] = set()
        for _ in range(60):
            seen = apis_with_counts(ask(metrics)[1])
            if seen == set(APIS):
                break
            time.sleep(0.5)
        found: set[str] = set()
        for _ in range(60):
            found = {
                origin for origin in ORIGINS if re.search(rf'discovery_rooms{{.*"{origin}".* [1-9]', ask(metrics)[1])
            }
            if found == ORIGINS:
                break
            time.sleep(0.5)
        status, _ = ask(page)
        code = demo.interrupt()

    assert (set(APIS), ORIGINS, 200, 0) == (seen, found, status, code)
    assert not re.search(r"warning|Traceback", before)
    assert "Traceback" not in demo.printed
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((simulator[1], int(simulator[2])), timeout=5)


@pytest.mark.parametrize(
    ("program", "reason"), [("/no/such/program", "No such file or directory"), ("true", "it ended by itself")]
)
async def test_a_simulator_that_does_not_start_is_told(monkeypatch, program, reason):
    """
    Without the simulator there is nothing to show: the demo ends with the reason.
    """
    monkeypatch.setattr("sys.executable", program)

    with pytest.raises(UserError, match=f"^the simulator did not start: {reason}$"):
        await run_demo(WebOptions("127.0.0.1:0"), configure(Level.ERROR, Format.LOGFMT), lambda *_: None)
