"""Room ids: the rules of each API, and realistic ids for the start of a world."""

import re
from collections.abc import Mapping
from types import MappingProxyType

ODD_EVERY = 40
"""One in so many rooms has an id that is hard to escape."""

_WORDS = (
    "lobby",
    "stage",
    "class",
    "clinic",
    "arena",
    "studio",
    "panel",
    "market",
    "concert",
    "standup",
    "karaoke",
    "quiz",
)

_ODD: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "zego_rtc": (
            "main hall {}",
            "a+b/{}",
            "100%{}~",
            'it\'s "{}"',
            "直播间{}",
            "<b>{}</b>",
            "@TGS#{}",
            "x=1&y;{}",
            "back\\slash{}",
            "%41%2F{}",
        ),
        "zego_zim": ("100%{}~", "a+b={}&c", "#{}!?", "<i>[{}]", "@TGS#{}", "{{{}|}}"),
        "tencent_im": ("@TGS#a{}", "@TGS#_@TGS#c{}", "main group {}", "a+b/c%{}~", 'it\'s "{}"', "<b>{}</b>\\"),
        "tencent_live": ("live {}", "a+b/c%{}~", 'it\'s "{}"', "直播{}", "<b>{}</b>\\"),
        "volcengine_rtc": ("Room@{}", "a.b_c-{}", "..{}", "-{}-", "@_{}"),
        "janus_videoroom": ("{}", "9007199254{}", "a+b/c%{}~", "main hall {}", 'it\'s "{}"', "直播间{}", "<b>{}</b>\\"),
    }
)

_DOCUMENTED: Mapping[str, tuple[int, re.Pattern[str]]] = MappingProxyType(
    {
        # The documents of zego_rtc and tencent_live name no alphabet: every printable character is accepted.
        "zego_rtc": (128, re.compile(r"[^\x00-\x1f\x7f]+")),
        "zego_zim": (32, re.compile(r"[0-9A-Za-z!#$%&()+\-:;<=.>?@\[\]^_{}|~]+")),
        "tencent_im": (48, re.compile(r"[\x20-\x7e]+")),
        "tencent_live": (128, re.compile(r"[^\x00-\x1f\x7f]+")),
        "volcengine_rtc": (128, re.compile(r"[A-Za-z0-9@._-]+")),
        "janus_videoroom": (256, re.compile(r"[^\x00-\x1f\x7f]+")),
    }
)

_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]+")


def sample(api: str, count: int, seed: int) -> list[str]:
    """
    The first `count` ids of an endless list of different ids, which depends on the seed.

    A longer list begins with the shorter one, so a larger world contains the smaller one.
    """
    words, odd = _WORDS, _ODD[api]
    return [
        odd[number // ODD_EVERY % len(odd)].format(number)
        if number % ODD_EVERY == 7
        else f"{words[(number * 7 + seed) % len(words)]}-{number:04d}"
        for number in range(count)
    ]


def too_long(api: str, room: str) -> bool:
    """Whether the id is longer than its API documents, in bytes."""
    return len(room.encode(errors="surrogatepass")) > _DOCUMENTED[api][0]


def well_formed(api: str, room: str, *, strict: bool) -> bool:
    """Whether the id follows the documented alphabet and length; not strict: whether it is printable."""
    if not strict:
        return _PRINTABLE.fullmatch(room) is not None
    return _DOCUMENTED[api][1].fullmatch(room) is not None and not too_long(api, room)
