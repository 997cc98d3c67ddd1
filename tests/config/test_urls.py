"""
Addresses that are one, and those that only look like one.
"""

from __future__ import annotations

import pytest

from exporter.config.urls import is_loopback, read_base_url, read_proxy


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://rtc-api.zego.im", "https://rtc-api.zego.im"),
        ("https://rtc-api.zego.im/", "https://rtc-api.zego.im/"),
        ("HTTPS://RTC-API.zego.im:8443", "https://rtc-api.zego.im:8443"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("http://127.8.9.10:80", "http://127.8.9.10:80"),
        ("http://[::1]", "http://[::1]"),
        ("http://localhost:9880", "http://localhost:9880"),
    ],
)
def test_base_url(text, url):
    """
    Scheme, host and perhaps a port, in lower case.
    """
    assert url == read_base_url(text, allow_http=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rtc-api.zego.im",
        "//rtc-api.zego.im",
        "ftp://rtc-api.zego.im",
        "https://",
        "https:///path",
        "https://rtc-api.zego.im/v4",
        "https://rtc-api.zego.im//",
        "https://rtc-api.zego.im?x=1",
        "https://rtc-api.zego.im#x",
        "https://user@rtc-api.zego.im",
        "https://rtc api.zego.im",
        "https://rtc-api.zego.im:0",
        "https://rtc-api.zego.im:65536",
        "https://rtc-api.zego.im:",
        "https://rtc-api.zego.im\\@evil.example",
        "https://房间.example",
        "https://[::1",
        "https://[::zz]",
        "https://[:::1]",
        "https://[1.2.3.4]",
        "https://-.example-",
        " https://rtc-api.zego.im",
    ],
)
def test_no_base_url(text):
    """
    Anything else would end up in a signature, or send it to somebody else.
    """
    with pytest.raises(ValueError, match="a URL such as"):
        read_base_url(text, allow_http=True)


@pytest.mark.parametrize(
    "text", ["http://rtc-api.zego.im", "http://128.0.0.1", "http://localhost.example", "http://0.0.0.0", "http://127.1"]
)
def test_http_elsewhere_must_be_allowed(text):
    """
    Names are not looked up: whatever is not plainly this machine is not.
    """
    assert text == read_base_url(text, allow_http=True)
    with pytest.raises(ValueError, match="http only on loopback"):
        read_base_url(text, allow_http=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.255.255", "[::1]", "localhost", "LOCALHOST"])
def test_loopback(host):
    """
    127.0.0.0/8, ::1 and localhost.
    """
    assert is_loopback(host)


@pytest.mark.parametrize(
    "text", ["http://proxy:3128", "https://user:pass%40word@proxy.example/", "http://user@[::1]:1"]
)
def test_proxy(text):
    """
    A proxy may want a user and a password, and its URL is kept as it is.
    """
    assert text == read_proxy(text)


@pytest.mark.parametrize(
    "text",
    [
        "proxy.example:3128",
        "socks5://proxy:1080",
        "http://proxy/path",
        "http://a@b@proxy",
        "http://u:p w@x",
        "http://u:p[w@x",
        "http://u:p℀w@x",
    ],
)
def test_no_proxy(text):
    """
    The words of the refusal do not repeat it, as a password may be in it.
    """
    with pytest.raises(ValueError, match="a URL such as http://proxy:3128") as refused:
        read_proxy(text)

    assert text not in str(refused.value)
