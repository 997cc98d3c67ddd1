"""
Configs to test with: the files in ``testdata/config``, and small ones made on the spot.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import indent

from exporter.config import Config, SourceConfig, parse

FOLDER = Path(__file__).parent.parent / "testdata" / "config"
ENV = {"ZEGO_SERVER_SECRET": "99999999999999998888888888888888", "EMPTY_SECRET": ""}
SECRET = "0123456789abcdef0123456789abcdef"
KEYS = {
    "zego_rtc": f"app_id: 1234567890\nserver_secret: {SECRET}",
    "zego_zim": f"app_id: 1234567890\nserver_secret: {SECRET}",
    "tencent_im": f"sdk_app_id: 1400000000\nidentifier: administrator\nsecret_key: {SECRET}",
    "tencent_live": f"sdk_app_id: 1400000000\nidentifier: administrator\nsecret_key: {SECRET}",
    "janus_videoroom": f"admin_secret: {SECRET}",
    "volcengine_rtc": f"app_id: 661e\naccess_key_id: AKLTexample\nsecret_access_key: {SECRET}",
}


def text(extra: str = "rooms: [lobby]", api: str = "zego_rtc", name: str = "live") -> str:
    """A source in YAML, as an item of ``sources``; from line 1 on: name, api, credentials, the extra lines."""
    return "  - " + indent(f"name: {name}\napi: {api}\n{KEYS[api]}\n{extra}\n", "    ").lstrip()


def config(*sources: str, path: Path = Path("exporter.yml"), env: Mapping[str, str] = ENV) -> Config:
    """The config of these sources."""
    return parse("sources:\n" + "".join(sources), path, env)


def source(extra: str = "rooms: [lobby]", api: str = "zego_rtc", path: Path = Path("exporter.yml")) -> SourceConfig:
    """The config of one source of this API."""
    (only,) = config(text(extra, api), path=path).sources
    return only
