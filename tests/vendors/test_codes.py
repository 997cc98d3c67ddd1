"""
Every documented code, and what it means to polling.
"""

from __future__ import annotations

import re

import pytest

from exporter.model import Failure, FailureKind, Reading
from exporter.simulator.codes import CODES as CODES_OF_VENDORS
from exporter.vendors import APIS
from tests.vendors.examples import failure, outcome

RATE_LIMITED, TRANSIENT, UNAUTHORIZED, MISCONFIGURED, REFUSED, MALFORMED = FailureKind

GATEWAY = {
    UNAUTHORIZED: [100000004, 100000005, 100000008, 100000009],
    TRANSIENT: [100000015],
    MISCONFIGURED: [
        100000000,
        100000001,
        100000002,
        100000003,
        100000006,
        100000007,
        100000010,
        100000011,
        100000012,
        100000013,
        100000014,
        100000016,
        100000017,
    ],
}
TENCENT = {
    RATE_LIMITED: [60007, 60011, 60018, 60019, 10006],
    TRANSIENT: [60008, 60013, 60014, 70169, 70202, 70500, 91000, 10002, 10018],
    UNAUTHORIZED: [10008, 60004, 60005, 70001, 70002, 70003, 70005, 70009, 70013, 70014, 70016, 70050, 70052],
    MISCONFIGURED: [
        *(60006, 60010, 60012, 60016, 60017, 60020, 60021, 70020, 70051, 70107, 70402, 70403),
        *(60002, 60003, 60009, 60015, 10003, 10011, 10012, 10019, 10026, 10059),
    ],
    REFUSED: [10004, 10007, 10015],
}
CODES: dict[str, list[dict[FailureKind, list[int]] | dict[FailureKind, list[str]]]] = {
    "zego_rtc": [
        GATEWAY,
        {TRANSIENT: [1, 154, 8, 5018], RATE_LIMITED: [206, 7, 207], REFUSED: [2, 3], MISCONFIGURED: [9]},
    ],
    "zego_zim": [
        GATEWAY,
        {
            TRANSIENT: [660000001, 660000003, 660300007, 1, 105001],
            UNAUTHORIZED: [3],
            REFUSED: [2, 660000002],
            RATE_LIMITED: [660300005, 660300006, 7],
        },
    ],
    "tencent_im": [TENCENT],
    "tencent_live": [
        TENCENT,
        {
            RATE_LIMITED: [100012],
            TRANSIENT: [100001],
            REFUSED: [100002, 100005, 100006, 100015],
            MISCONFIGURED: [100007, 100013],
        },
    ],
    "janus_videoroom": [
        {
            UNAUTHORIZED: [403, 405, 433],
            MISCONFIGURED: [450, 452, 453, 454, 455, 456, 457, 460, 467, 421, 422, 423, 429, 430],
            TRANSIENT: [462, 490, 499],
        }
    ],
    "volcengine_rtc": [
        {
            RATE_LIMITED: [
                "FlowLimitExceeded",
                "FlowLimitExceeded.QPSOverLimit",
                "AccountFlowLimitExceeded",
            ],
            TRANSIENT: [
                "UndefinedError",
                "InternalError",
                "InternalError.Unknown",
                "InternalServiceTimeout",
                "InternalServiceError",
                "ServiceUnavailableTemp",
                "FailToConnect",
            ],
            UNAUTHORIZED: [
                "InvalidTimestamp",
                "InvalidAccessKey",
                "InvalidClientTokenId",
                "SignatureDoesNotMatch",
                "MissingSignature",
                "MissingAuthenticationToken",
                "InvalidSecretToken",
                "InvalidCredential",
                "InvalidAuthorization",
            ],
            MISCONFIGURED: [
                "LackPolicy",
                "LackProjectPolicy",
                "MethodNotAllowed",
                "ServiceShouldCallSelfApi",
                "InnerApiNeedAccountInfo",
                "AccessDenied",
                "AccessDenied.App",
                "ServiceNotFound",
                "InvalidActionOrVersion",
                "MissingParameter",
                "MissingRequestInfo",
                "InvalidParameter",
                "InvalidParameter.IllegalAppID",
                "InvalidParameter.NotExistAppId",
                "InvalidParameter.EmptyAccountId",
            ],
            REFUSED: ["InvalidParameter.IllegalRoomID"],
        }
    ],
}
ROWS = [
    (api, code, kind)
    for api, tables in CODES.items()
    for table in tables
    for kind, codes in table.items()
    for code in codes
]


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize(("api", "code", "kind"), ROWS)
def test_documented_code(api: str, code: int | str, kind: FailureKind, status: int) -> None:
    """
    A documented code has its documented meaning, whatever the HTTP status; where somebody must mend something, the
    words say what.
    """
    failed = outcome(api, failure(api, code), status=status)

    assert isinstance(failed, Failure)
    assert (kind, str(code)) == (failed.kind, failed.code)
    assert "documentation does not list" not in failed.words
    if kind in {UNAUTHORIZED, MISCONFIGURED, REFUSED}:
        meaning, remedy = re.split("[:;] ", failed.words, maxsplit=1)
        assert meaning
        assert remedy


@pytest.mark.parametrize(("api", "code"), [(api, code) for api in APIS for code in CODES_OF_VENDORS[api].messages])
def test_code_that_a_vendor_may_answer_with(api: str, code: str) -> None:
    """
    Every code of the vendors' own pages is known, be it a reading or a failure.
    """
    said = outcome(api, failure(api, int(code) if code.isdigit() else code), status=400)

    assert isinstance(said, Reading) or "documentation does not list" not in said.words


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (100001, TRANSIENT),
        (100002, MISCONFIGURED),
        (100003, UNAUTHORIZED),
        (100004, MISCONFIGURED),
        (100005, UNAUTHORIZED),
        (100006, UNAUTHORIZED),
        (100007, MISCONFIGURED),
        (100008, MISCONFIGURED),
        (100009, UNAUTHORIZED),
        (100010, UNAUTHORIZED),
        (100011, MISCONFIGURED),
        (100012, MISCONFIGURED),
        (100013, MISCONFIGURED),
        (100014, TRANSIENT),
        (100015, TRANSIENT),
        (100016, TRANSIENT),
        (100018, RATE_LIMITED),
        (100019, TRANSIENT),
        (100020, MISCONFIGURED),
        (100026, UNAUTHORIZED),
        (100027, RATE_LIMITED),
    ],
)
def test_volcengine_number_alone(number: int, kind: FailureKind) -> None:
    """
    CodeN is understood where Code is missing.
    """
    failed = outcome("volcengine_rtc", {"ResponseMetadata": {"Error": {"CodeN": number}}})

    assert isinstance(failed, Failure)
    assert (kind, str(number)) == (failed.kind, failed.code)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    ("code", "shown"),
    [
        (424242, "424242"),
        (-1, "-1"),
        ("NewKind.Of_Failure-2", "NewKind.Of_Failure-2"),
        ("a b\n\x1b[31m", "unprintable"),
        ("x" * 65, "unprintable"),
        ("错误", "unprintable"),
    ],
)
def test_unknown_code_is_transient(api: str, code: int | str, shown: str) -> None:
    """
    A code that nobody documented is worth another try, and its name is shown only if it is harmless.
    """
    failed = outcome(api, failure(api, code), status=400)

    assert isinstance(failed, Failure)
    assert (TRANSIENT, shown) == (failed.kind, failed.code)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    ("status", "kind", "retry_after"),
    [
        (200, TRANSIENT, 7.0),
        (400, TRANSIENT, 7.0),
        (401, UNAUTHORIZED, None),
        (403, MISCONFIGURED, None),
        (404, TRANSIENT, 7.0),
        (405, MISCONFIGURED, None),
        (429, RATE_LIMITED, 7.0),
        (500, TRANSIENT, 7.0),
        (503, TRANSIENT, 7.0),
    ],
)
def test_unknown_code_is_judged_by_the_status(
    api: str, status: int, kind: FailureKind, retry_after: float | None
) -> None:
    """
    Where the code says nothing, the status does; a wait that the vendor asks for is kept where waiting helps.
    """
    failed = outcome(api, failure(api, 424242), status=status, headers={"Retry-After": "7"})

    assert isinstance(failed, Failure)
    assert (kind, "424242", retry_after) == (failed.kind, failed.code, failed.retry_after)
    assert "the vendor's documentation does not list" in failed.words
    if kind in {UNAUTHORIZED, MISCONFIGURED}:
        assert ": check " in failed.words


@pytest.mark.parametrize("api", ["zego_rtc", "zego_zim", "tencent_im", "tencent_live"])
def test_code_as_text(api: str) -> None:
    """
    A code in quotes is the same code.
    """
    code, kind = ("60011", RATE_LIMITED) if "tencent" in api else ("100000004", UNAUTHORIZED)

    failed = outcome(api, failure(api, code))

    assert isinstance(failed, Failure)
    assert (kind, code) == (failed.kind, failed.code)


def test_zego_207_is_one_rooms_limit() -> None:
    """
    Only 207 leaves the app's pace alone.
    """
    limits = [outcome("zego_rtc", failure("zego_rtc", code)) for code in (7, 206, 207)]

    assert [False, False, True] == [limit.one_room for limit in limits if isinstance(limit, Failure)]


def test_tencent_70050_asks_for_silence() -> None:
    """
    A UserSig that failed too often silences the app for a minute.
    """
    failed = outcome("tencent_im", failure("tencent_im", 70050))

    assert isinstance(failed, Failure)
    assert 60.0 == failed.cool_down


@pytest.mark.parametrize("code", [104, 5024, 50001])
def test_zego_missing_room(code: int) -> None:
    """
    A missing room is a reading of its own call, but a batch is refused: any of its rooms may be the one.
    """
    batch = outcome("zego_rtc", failure("zego_rtc", code), "a", "b")

    assert Reading(users=0, exists=None, missing=True) == outcome("zego_rtc", failure("zego_rtc", code), "a")
    assert isinstance(batch, Failure)
    assert (REFUSED, str(code)) == (batch.kind, batch.code)


@pytest.mark.parametrize(
    ("api", "code", "expected"),
    [
        ("zego_zim", 660300001, Reading(users=0, exists=False, missing=True)),
        ("zego_zim", 660300008, Reading(users=0)),
        ("tencent_im", 10010, Reading(users=0, exists=False, missing=True)),
        ("tencent_live", 10010, Reading(users=0, exists=False, missing=True)),
        ("tencent_live", 100004, Reading(users=0, exists=False, missing=True)),
    ],
)
def test_codes_that_are_readings(api: str, code: int, expected: Reading) -> None:
    """
    A room that is missing, or just emptied, is known; nothing failed.
    """
    assert expected == outcome(api, failure(api, code))
    assert expected == outcome(api, failure(api, str(code)), status=404)
