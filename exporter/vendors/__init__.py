"""
The codecs of the six vendor APIs: pure functions that make requests and parse replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from exporter.vendors.codec import Codec
from exporter.vendors.janus_videoroom import JanusVideoroom
from exporter.vendors.tencent_im import TencentIm
from exporter.vendors.tencent_live import TencentLive
from exporter.vendors.volcengine_rtc import VolcengineRtc
from exporter.vendors.zego_rtc import ZegoRtc
from exporter.vendors.zego_zim import ZegoZim

_CODECS: tuple[Codec, ...] = (ZegoRtc(), ZegoZim(), TencentIm(), TencentLive(), VolcengineRtc(), JanusVideoroom())

APIS: Final[Mapping[str, Codec]] = MappingProxyType({codec.api: codec for codec in _CODECS})
"""The codec of every API, by the API's name in the config."""
