"""Verifies Tencent's UserSig."""

import base64
import binascii
import hmac
import json
import zlib
from dataclasses import dataclass

_LARGEST = 8192
"""Largest decompressed UserSig in bytes; a real one has some 250."""

_FIELDS = {
    "TLS.ver": str,
    "TLS.identifier": str,
    "TLS.sdkappid": int,
    "TLS.expire": int,
    "TLS.time": int,
    "TLS.sig": str,
}


@dataclass(frozen=True, slots=True)
class UserSig:
    """
    An unpacked UserSig.

    Attributes:
        time: When it was made, in Unix seconds.
        expire: Seconds for which it is valid.
    """

    identifier: str
    sdk_app_id: int
    time: int
    expire: int
    sig: str

    def signed_with(self, secret_key: str) -> bool:
        """Whether the signature was made with this key; the key is used as text."""
        content = (
            f"TLS.identifier:{self.identifier}\nTLS.sdkappid:{self.sdk_app_id}\n"
            f"TLS.time:{self.time}\nTLS.expire:{self.expire}\n"
        )
        expected = base64.b64encode(hmac.digest(secret_key.encode(), content.encode(), "sha256"))
        return hmac.compare_digest(expected, self.sig.encode())


def unpack(usersig: str) -> UserSig:
    """
    Decode the base64 variant, decompress, and parse the JSON.

    Raises:
        ValueError: The text is not a UserSig; says why.
    """
    try:
        packed = base64.b64decode(usersig.translate(_TO_BASE64), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not base64: {error}") from None
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(packed, _LARGEST)
    except zlib.error as error:
        raise ValueError(f"not compressed: {error}") from None
    if not inflater.eof or inflater.unused_data:
        raise ValueError("cut off, too long, or followed by something else")
    try:
        fields = json.loads(text)
    except ValueError:
        raise ValueError("not JSON") from None
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    for name, kind in _FIELDS.items():
        if type(fields.get(name)) is not kind:
            raise ValueError(f"{name} is missing or not {kind.__name__}")
    if fields["TLS.ver"] != "2.0":
        raise ValueError("TLS.ver is not 2.0")
    return UserSig(
        fields["TLS.identifier"], fields["TLS.sdkappid"], fields["TLS.time"], fields["TLS.expire"], fields["TLS.sig"]
    )


# The wire format replaces "+", "/" and "=". The originals are not valid in it.
_TO_BASE64 = str.maketrans("*-_+/=", "+/=\0\0\0")
