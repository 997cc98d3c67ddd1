"""
The command with a web config, from outside.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from tests.command import command
from tests.web.security.asking import ask, trusting
from tests.web.security.house import CLIENTS, PASSWORD, TLS, USERS, House
from tests.web.security.rows import DATA

CONFIG = """
sources:
  - {name: live, api: zego_rtc, app_id: 1, server_secret: 0123456789abcdef0123456789abcdef, rooms: [lobby],
     base_url: "http://127.0.0.1:1", interval: 60s}
"""


def test_the_end_does_not_wait_for_a_password_that_takes_fifteen_seconds(tmp_path):
    """
    Somebody asks as bob, whose hash has cost 18, and meanwhile SIGTERM comes.
    """
    (tmp_path / "exporter.yml").write_text(CONFIG, encoding="utf-8")
    web_config = DATA / "web_config_users_noTLS.good.yml"
    flags = f"--config.file={tmp_path / 'exporter.yml'}", f"--web.config.file={web_config}"
    with command("run", *flags, "--web.listen-address=127.0.0.1:0") as exporter:
        port = int(exporter.until(r"listening=http://127\.0\.0\.1:(\d+)")[1])

        def as_bob() -> None:
            with suppress(OSError):
                ask(port, login=("bob", "bob123"))

        asking = threading.Thread(target=as_bob)
        asking.start()
        time.sleep(0.5)
        began = time.monotonic()
        code = exporter.end()
        took = time.monotonic() - began
        asking.join()

    assert 0 == code
    assert took < 5.0


def test_a_guarded_exporter_is_asked_with_certificate_and_password(tmp_path):
    """
    By the flags of `run`; a web config that is wrong keeps it from starting, and says why.
    """
    house = House(tmp_path, TLS + CLIENTS + USERS)
    chain = house.client("scraper.example")
    (tmp_path / "exporter.yml").write_text(CONFIG, encoding="utf-8")
    flags = f"--config.file={tmp_path / 'exporter.yml'}", "--web.listen-address=127.0.0.1:0"
    with command("run", *flags, env={"RTC_EXPORTER_WEB_CONFIG_FILE": str(house.file)}) as exporter:
        port = int(exporter.until(r"listening=https://127\.0\.0\.1:(\d+)")[1])
        context = trusting(house.ca_file)
        context.load_cert_chain(chain[0], chain[1])
        answer = ask(port, context, ("prometheus", PASSWORD), "/metrics")
        assert 200 == answer.status
        assert "\nrtc_exporter_web_config_last_reload_successful 1.0\n" in answer.text
        assert 0 == exporter.end()

    house.write(TLS + "  min_version: TLS14\n")
    with command("run", *flags, f"--web.config.file={house.file}") as exporter:
        assert 1 == exporter.wait()
        expected = (
            f"{house.file}:4: tls_server_config.min_version: found 'TLS14'; accepted: TLS10, TLS11, TLS12, TLS13\n"
        )
        assert expected == exporter.printed
