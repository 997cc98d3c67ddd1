"""
Every vendor's codes as `docs/failure-codes.md` has them: `python -m tests.docs.codes` writes the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from exporter.model import Failure, FailureKind, Reading
from exporter.vendors import janus_videoroom, tencent, tencent_live, volcengine, zego, zego_rtc, zego_zim
from exporter.vendors.replies import _MEANING_OF_UNLISTED
from tests.deploy.project import ROOT
from tests.vendors.examples import failure, outcome

PAGE = Path(ROOT, "docs/failure-codes.md")
_INTRODUCTION = """\
# Failure codes

For whoever finds a vendor's code in a log line, a metric or on the page: what it means, and what follows from it.

A vendor's code decides, whatever the HTTP status beside it says; where a code is not listed here, the status decides.
The reasons are those of `rtc_source_failed_calls_total`; [Metrics](metrics.md#labels-with-fixed-values) tells what
follows from each. A reply without a code is `rate_limited` with status 429, `misconfigured` with any other 3xx or 4xx,
and else `transient`. What is called *a reading* is no failure: the vendor has answered, with 0 users.

| HTTP status beside a code that is not listed | reason |
|---|---|
"""
_READINGS: dict[str, list[int | str]] = {
    "zego_rtc": [*sorted(zego_rtc._NO_SUCH_ROOM)],
    "zego_zim": [code for code in zego_zim._NOT_A_FAILURE if code],
    "tencent_im": [tencent.MISSING],
    "tencent_live": [*sorted(tencent_live._MISSING)],
    "janus_videoroom": [],
}


def page() -> str:
    """
    The page as the code has it.
    """
    statuses = [f"| {status} | `{kind}` |" for status, (kind, _) in sorted(_MEANING_OF_UNLISTED.items())]
    statuses.append(f"| any other | `{FailureKind.TRANSIENT}` |")
    parts = [
        _INTRODUCTION + "\n".join(statuses),
        _section("Both APIs of ZEGO", _numbered(zego.GATEWAY_CODES)),
        _section("`zego_rtc`", _of(zego_rtc._CODES, zego.GATEWAY_CODES, "zego_rtc")),
        _section("`zego_zim`", _of(zego_zim._CODES, zego.GATEWAY_CODES, "zego_zim")),
        _section("Both APIs of Tencent", _numbered(tencent.COMMON_CODES)),
        _section("`tencent_im`", _of(tencent.COMMON_CODES, tencent.COMMON_CODES, "tencent_im")),
        _section("`tencent_live`", _of(tencent_live._CODES, tencent.COMMON_CODES, "tencent_live")),
        _section("`volcengine_rtc`, by the beginning of `Code`", _volcengine()),
        _section("`janus_videoroom`", _of(janus_videoroom._CODES, {}, "janus_videoroom")),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, rows: Iterable[str]) -> str:
    return "\n".join([f"## {title}", "", "| code | reason | what it means |", "|---|---|---|", *rows])


def _row(code: object, failed: Failure, what: str = "`{}`") -> str:
    return f"| `{code}` | {what.format(failed.kind)} | {failed.words} |"


def _numbered(codes: Mapping[int | str, Failure]) -> list[str]:
    return [_row(code, codes[code]) for code in sorted(codes, key=int)]


def _of(codes: Mapping[int | str, Failure], shared: Mapping[int | str, Failure], api: str) -> list[str]:
    own = {code: failed for code, failed in codes.items() if code not in shared}
    readings = [
        _reading(api, code, "a reading, of a call for one room" if code in own else "a reading")
        for code in _READINGS[api]
    ]
    several = {code: failed for code, failed in own.items() if code in _READINGS[api]}
    rest = {code: failed for code, failed in own.items() if code not in several}
    of_several = [_row(code, failed, "`{}`, of a call for several") for code, failed in sorted(several.items())]
    return [*readings, *of_several, *_numbered(rest)]


def _reading(api: str, code: int | str, what: str) -> str:
    read = outcome(api, failure(api, code))
    assert isinstance(read, Reading)
    return f"| `{code}` | {what} | {'there is no such room' if read.missing else 'nobody is in the room'}: 0 users |"


def _volcengine() -> list[str]:
    return [
        f"| `{code}`{f' ({number})' if number else ''} | `{kind}` | {words} |"
        for code, number, kind, words in volcengine.CODES
    ]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
