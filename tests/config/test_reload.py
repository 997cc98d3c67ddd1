"""
What a reload can tell from two configs of one source.
"""

from __future__ import annotations

import pytest

from exporter.config import ConfigError, reread_files
from tests.config.configs import SECRET, config, source, text


def test_equal_configs_ask_for_nothing():
    """
    The same text read twice gives equal sources.
    """
    assert source() == source()


@pytest.mark.parametrize(
    ("extra", "same"),
    [
        ("timeout: 6s", True),
        ("budget: main", True),
        ("is_test: true", True),
        ("interval: 20s", True),
        ("rooms: [stage]", True),
        ("base_url: https://rtc-api.zego.im/", True),
        ("base_url: https://rtc-api.zego.im:8443", False),
        ("base_url: http://127.0.0.1", False),
        ("region: sha", False),
        ("proxy: http://proxy:3128", False),
    ],
)
def test_what_an_http_client_is_made_of(extra, same):
    """
    Where it connects to, by which way, and whom it trusts; everything else is the calls' own.
    """
    assert same is (source().client_key == source(extra).client_key)


def test_client_key_does_not_show_the_proxys_password():
    """
    A key may be logged.
    """
    assert "hunter2" not in repr(source("proxy: http://user:hunter2@proxy:3128").client_key)


def test_spelled_out_default_is_the_same():
    """
    A reload that only writes down what held before makes no new client and begins no room anew.
    """
    plain, spelled_out = source(), source("base_url: https://rtc-api.zego.im/\ntimeout: 5000ms")

    assert plain.client_key == spelled_out.client_key
    assert plain.rooms_key == spelled_out.rooms_key


def test_reread_files(tmp_path):
    """
    A secret that was rotated in its file is there after a second look.
    """
    file = tmp_path / "key"
    file.write_text("first-key\n")
    (im,) = config(text(api="tencent_im").replace(f"secret_key: {SECRET}", f"secret_key_file: {file}")).sources
    file.write_text("second-key\r\n")

    renewed = reread_files(im)

    assert ("first-key",) == im.source.secrets()
    assert ("second-key",) == renewed.source.secrets()
    assert im != renewed
    assert im.client_key == renewed.client_key


def test_reread_of_a_lost_file(tmp_path):
    """
    A file that is gone by then is told by its name and the source's.
    """
    file = tmp_path / "key"
    file.write_text("first-key")
    (im,) = config(text(api="tencent_im").replace(f"secret_key: {SECRET}", f"secret_key_file: {file}")).sources
    file.unlink()

    with pytest.raises(ConfigError) as refused:
        reread_files(im)

    assert (
        f"source 'live': secret_key_file: found '{file}' (no such file or directory); "
        "accepted: a readable file that holds the secret alone"
    ) == str(refused.value)


def test_inline_secrets_stay():
    """
    There is nothing to read again for a secret that stands in the config or the environment.
    """
    assert source() == reread_files(source())
