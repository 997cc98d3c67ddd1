"""
Prometheus' remote-write protocol, as far as a test needs it: series with samples at any time, and where they end.

A backfilled block cannot say that a series ended, and its last value would go on for five minutes.
"""

from __future__ import annotations

import struct
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_STALE = 0x7FF0_0000_0000_0002
_LITERAL = 1 << 16


@dataclass(frozen=True, slots=True)
class Series:
    """
    Samples of one series.

    Args:
        samples: Unix seconds and values in the order of time; `None` ends the series until the next value.
    """

    labels: Mapping[str, str]
    samples: Sequence[tuple[float, float | None]]


def push(url: str, series: Iterable[Series]) -> None:
    """
    Write series into a Prometheus that runs with `--web.enable-remote-write-receiver`.

    Args:
        url: Its address, without a path.

    Raises:
        urllib.error.HTTPError: It does not take them.
    """
    body = _snappy(b"".join(_field(1, _series(one)) for one in series))
    request = urllib.request.Request(  # noqa: S310 - the test's own Prometheus
        f"{url}/api/v1/write",
        data=body,
        headers={
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        response.read()


def _series(series: Series) -> bytes:
    labels = (
        _field(1, _field(1, name.encode()) + _field(2, text.encode())) for name, text in sorted(series.labels.items())
    )
    return b"".join([*labels, *(_field(2, sample) for sample in _samples(series.samples))])


def _samples(samples: Sequence[tuple[float, float | None]]) -> Iterator[bytes]:
    known = False
    for time, value in samples:
        if value is not None or known:
            bits = struct.pack("<Q", _STALE) if value is None else struct.pack("<d", value)
            yield b"\x09" + bits + b"\x10" + _varint(round(time * 1000))
        known = value is not None


def _field(number: int, payload: bytes) -> bytes:
    """A protobuf field that holds bytes."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def _snappy(plain: bytes) -> bytes:
    """Snappy's block format, without compressing anything: literals of up to 64 KiB."""
    pieces = (plain[start : start + _LITERAL] for start in range(0, len(plain), _LITERAL))
    return _varint(len(plain)) + b"".join(b"\xf4" + struct.pack("<H", len(piece) - 1) + piece for piece in pieces)
