"""
The verifiers against signatures that the vendors' own documents and libraries made.
"""

import pytest

from exporter.simulator import ZegoApp, signature_v4, usersig, zego

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
SECRET = "RXhhbXBsZVNlY3JldEtleUV4YW1wbGVTZWNyZXQ9PQ=="
TENCENT_KEY = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e"


@pytest.mark.parametrize(
    ("app_id", "server_secret", "nonce", "timestamp", "signature"),
    [
        (
            12345,
            "9193cc662a4c0ec135ec71fb57194b38",
            "4fd24687296dd9f3",
            "1615186943",
            "43e5cfcca828314675f91b001390566a",
        ),
        (
            1234567890,
            "0123456789abcdef0123456789abcdef",
            "0123456789abcdef",
            "1700000000",
            "16623b00a07719a644da6752e631e98a",
        ),
    ],
)
def test_zego_signature(app_id, server_secret, nonce, timestamp, signature):
    """
    The signature published in ZEGO's documents, and one that its sample computes.
    """
    assert signature == zego.signature(ZegoApp(app_id, server_secret), nonce, timestamp)


@pytest.mark.parametrize(
    ("packed", "identifier", "expire"),
    [
        (
            (
                "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkElNyM-NgUsUp2YkFBZkpQAlDEwMogMqlVhRkFqUCZSzMTOCCJZm5ICFDczTFxZnpIMN"
                "NckIrCt30nbQDg-XdMqpCjS0sfMPLTcyLjdw9vdMLQpzdDMNzw330c0wjbZVqAeD3MM0_"
            ),
            "admin",
            86400,
        ),
        (
            (
                "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkElNyM-Myi0uKEkvyi2BKilOyEwsKMlOACgxNDKAAKpdaUZBZlAqUMTMwsYCLlmTmgsQMz"
                "dFUF2emg2zJNjT1D80OCs9IzAr0dQsNK-A2MM63dIyM8jHUDgwyiXQu9okMzM8JDzL3tVWqBQBfSTTY"
            ),
            "administrator",
            604800,
        ),
    ],
)
def test_usersig(packed, identifier, expire):
    """
    A UserSig packed by Tencent's own library is unpacked and found to be signed with its key, and with no other.
    """
    sig = usersig.unpack(packed)

    assert (identifier, 1400000000, 1700000000, expire) == (sig.identifier, sig.sdk_app_id, sig.time, sig.expire)
    assert sig.signed_with(TENCENT_KEY)
    assert not sig.signed_with(TENCENT_KEY[:-1] + "f")


@pytest.mark.parametrize(
    ("host", "region", "query", "signature"),
    [
        (
            "rtc.volcengineapi.com",
            "cn-north-1",
            "Action=GetRoomOnlineUsers&Version=2023-11-01&AppId=661e000000000000000543cf&RoomId=Room1",
            "a58cb34138b4b11dad4d82c84c74cd72a42d34533a8c2e8c776c577a40d233cf",
        ),
        (
            "rtc.volcengineapi.com:443",
            "cn-north-1",
            "Action=GetRoomOnlineUsers&Version=2023-11-01&AppId=661e000000000000000543cf&RoomId=room%40a.b_c-1",
            "2c8010c561f1fc96e85090cb136a569e8b63ac7c6ba7ea5b69edff1d14e0c84b",
        ),
        (
            "rtc.volcengineapi.com",
            "cn-north-1",
            (
                "Action=GetRoomOnlineUsers&Version=2023-11-01&AppId=661e000000000000000543cf"
                "&RoomId=%E6%88%BF%E9%97%B4+1%2B2%2F~%2A"
            ),
            "436412185ee46ea3fad986c04251912b8650b1ad20f9b20035da3225ce0b7e49",
        ),
        (
            "open-ap-singapore-1.volcengineapi.com",
            "ap-singapore-1",
            "Action=GetRoomOnlineUsers&Version=2023-11-01&AppId=661e000000000000000543cf&RoomId=Room1",
            "ef718d0dee81292b48b703dc00bc7243419c321cf60b20e876f3e96a1592a269",
        ),
    ],
)
def test_volcengine_signature(host, region, query, signature):
    """
    Requests signed by Volcengine's own library, from the raw query that it puts on the wire.
    """
    assert signature == _signature(query, region, {"host": host})


def test_volcengine_signature_with_a_content_type():
    """
    Further headers are covered where the client signs them.
    """
    signature = _signature(
        "Action=GetRoomOnlineUsers&AppId=661e000000000000000543cf&RoomId=Room1&Version=2023-11-01",
        "cn-north-1",
        {"content-type": "application/json", "host": "rtc.volcengineapi.com"},
    )

    assert "62728b13d746c5ad26dbaa62e8040643d165cecdf964b818a80b791dbd9b62e9" == signature


def test_volcengine_canonical_request():
    """
    The text that is hashed, letter by letter as the vendor's library writes it.
    """
    headers = {"host": "rtc.volcengineapi.com", "x-content-sha256": EMPTY, "x-date": "20240102T030405Z"}

    canonical = signature_v4.canonical_request("GET", "b=%7E&a=1+2", headers, tuple(headers), b"")

    assert (
        f"GET\n/\na=1%202&b=~\nhost:rtc.volcengineapi.com\nx-content-sha256:{EMPTY}\nx-date:20240102T030405Z\n\n"
        f"host;x-content-sha256;x-date\n{EMPTY}"
    ) == canonical


def _signature(query, region, headers):
    headers = headers | {"x-content-sha256": EMPTY, "x-date": "20240102T030405Z"}
    authorization = signature_v4.Authorization("AK", "20240102", region, "rtc", tuple(headers), "")
    canonical = signature_v4.canonical_request("GET", query, headers, authorization.signed_headers, b"")
    return signature_v4.signature(SECRET, authorization, "20240102T030405Z", canonical)
