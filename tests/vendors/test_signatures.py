"""
Known answers of the vendors' own SDKs and documents.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass

import pytest

from exporter.model import Stamp
from exporter.vendors import tencent, volcengine, zego
from exporter.vendors.source import Secret
from tests.vendors.examples import CREDENTIALS, NOW, STAMP, auth, request


@pytest.mark.parametrize(
    ("app_id", "nonce", "secret", "timestamp", "expected"),
    [
        # Published in ZEGO's "Accessing Server APIs".
        (
            12345,
            "4fd24687296dd9f3",
            "9193cc662a4c0ec135ec71fb57194b38",
            1615186943,
            "43e5cfcca828314675f91b001390566a",
        ),
        # Computed with the Python sample of the same page.
        (
            1234567890,
            "0123456789abcdef",
            "0123456789abcdef0123456789abcdef",
            1700000000,
            "16623b00a07719a644da6752e631e98a",
        ),
    ],
)
def test_zego_signature(app_id: int, nonce: str, secret: str, timestamp: int, expected: str) -> None:
    """
    ZEGO's signature is the MD5 of app, nonce, secret and time.
    """
    assert expected == zego.signature(app_id, nonce, secret, timestamp)


def test_zego_request_is_the_one_of_the_official_samples() -> None:
    """
    The order of parameters and the encoded brackets are those of ZEGO's Go and Python samples.
    """
    sent = request(
        "zego_rtc",
        "room1",
        "room2",
        stamp=Stamp(1615186943.9, "4fd24687296dd9f3"),
        app_id="12345",
        server_secret=Secret("9193cc662a4c0ec135ec71fb57194b38"),
    )

    assert (
        "https://rtc-api.zego.im/?Action=DescribeUserNum&AppId=12345&SignatureNonce=4fd24687296dd9f3"
        "&SignatureVersion=2.0&Timestamp=1615186943&Signature=43e5cfcca828314675f91b001390566a"
        "&RoomId%5B%5D=room1&RoomId%5B%5D=room2"
    ) == sent.url


@pytest.mark.parametrize(
    ("identifier", "expire", "signature"),
    [
        # Made by tls-sig-api-v2 1.1.
        ("admin", 86400, "4lUxqF/B+QS/FhzU388MWw47s2GIKgpTCF1WmWL/l5Y="),
        ("administrator", 604800, "k15OUkRWhajQMFUVpK03o9AYZL1+QR4YCsLYQolWR7M="),
    ],
)
def test_user_sig(identifier: str, expire: int, signature: str) -> None:
    """
    A UserSig inflates to the very JSON that Tencent's SDK writes; how it is deflated is zlib's business.
    """
    key = CREDENTIALS["tencent_im"]["secret_key"].reveal()

    user_sig = tencent.user_sig(1400000000, key, identifier, 1700000000, expire)

    document = {
        "TLS.ver": "2.0",
        "TLS.identifier": identifier,
        "TLS.sdkappid": 1400000000,
        "TLS.expire": expire,
        "TLS.time": 1700000000,
        "TLS.sig": signature,
    }
    assert json.dumps(document) == _inflated(user_sig)
    assert not set("+/=") & set(user_sig)


def test_user_sig_is_valid_for_a_day_at_least_and_renewed_long_before() -> None:
    """
    No call is made with a UserSig that has less than a day to live.
    """
    made = auth("tencent_im", NOW)

    document = json.loads(_inflated(str(made.token)))
    expires = document["TLS.time"] + document["TLS.expire"]
    assert made.covers(NOW)
    assert made.renew_at > NOW + 3600
    assert expires - made.renew_at >= 86_400


def test_user_sig_is_made_anew_when_the_clock_steps_back() -> None:
    """
    A UserSig from the future is refused, so one that the clock made so is not used.
    """
    assert not auth("tencent_live", NOW).covers(NOW - 3600)


def _inflated(user_sig: str) -> str:
    return zlib.decompress(base64.b64decode(user_sig.translate(str.maketrans("*-_", "+/=")))).decode()


@dataclass(frozen=True)
class V4:
    """A GET signed by volcengine 1.0.229 at 2024-01-02 03:04:05 UTC."""

    room: str
    signature: str
    region: str = "cn-north-1"
    host: str = "rtc.volcengineapi.com"


V4_VECTORS = (
    V4("Room1", "a58cb34138b4b11dad4d82c84c74cd72a42d34533a8c2e8c776c577a40d233cf"),
    V4("room@a.b_c-1", "2c8010c561f1fc96e85090cb136a569e8b63ac7c6ba7ea5b69edff1d14e0c84b"),
    V4("房间 1+2/~*", "436412185ee46ea3fad986c04251912b8650b1ad20f9b20035da3225ce0b7e49"),
    V4(
        "Room1",
        "ef718d0dee81292b48b703dc00bc7243419c321cf60b20e876f3e96a1592a269",
        region="ap-singapore-1",
        host="open-ap-singapore-1.volcengineapi.com",
    ),
)


@pytest.mark.parametrize("vector", V4_VECTORS)
def test_volcengine_request_is_the_one_of_the_sdk(vector: V4) -> None:
    """
    Headers and signature are the SDK's, and the query that goes out is the one that was signed.
    """
    sent = request("volcengine_rtc", vector.room, stamp=Stamp(1704164645.5, STAMP.nonce), region=vector.region)

    access_key = "AKLTEXAMPLEaccesskeyid0000000000"
    assert f"https://{vector.host}" == sent.base_url
    assert {
        "Host": vector.host,
        "X-Date": "20240102T030405Z",
        "X-Content-Sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "Authorization": (
            f"HMAC-SHA256 Credential={access_key}/20240102/{vector.region}/rtc/request, "
            f"SignedHeaders=host;x-content-sha256;x-date, Signature={vector.signature}"
        ),
    } == sent.headers


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("cn-north-1", "e26752106722f57a70b7c23a545a292abb58bc8df3a219284cc1b13df3b2bc92"),
        ("ap-singapore-1", "65920c7f9be65169a052de2454e6c894148239bf6609cb713ed42dfb9a56b39a"),
    ],
)
def test_volcengine_signing_key(region: str, expected: str) -> None:
    """
    The signing key is chained from the secret through day, region and service.
    """
    secret = CREDENTIALS["volcengine_rtc"]["secret_access_key"].reveal()

    assert expected == volcengine.signing_key(secret, "20240102", region, "rtc").hex()


@pytest.mark.parametrize(
    ("now", "covered", "not_covered"),
    [
        (1704164645.5, (1704153600.0, 1704239999.9), (1704153599.9, 1704240000.0)),
        (1704153600.0, (1704153600.0,), (1704153599.9,)),
    ],
)
def test_volcengine_signing_key_is_one_days(now: float, covered: list[float], not_covered: list[float]) -> None:
    """
    A signing key covers the calls of its UTC day, and no others.
    """
    made = auth("volcengine_rtc", now)

    assert [True] * len(covered) == [made.covers(moment) for moment in covered]
    assert [False] * len(not_covered) == [made.covers(moment) for moment in not_covered]


def test_volcengine_session_token_is_signed_along() -> None:
    """
    With temporary credentials the token is a header of its own, and signed as the SDK signs it.
    """
    sent = request("volcengine_rtc", "Room1", stamp=Stamp(1704164645.5, STAMP.nonce), session_token=Secret("STS-token"))

    assert "STS-token" == sent.headers["X-Security-Token"]
    assert (
        "HMAC-SHA256 Credential=AKLTEXAMPLEaccesskeyid0000000000/20240102/cn-north-1/rtc/request, "
        "SignedHeaders=host;x-content-sha256;x-date;x-security-token, "
        "Signature=2b8ab8c7541d802960d3c10ddc39b9686dbbb6d93724e5d0f740998877f191ca"
    ) == sent.headers["Authorization"]
