"""All documented error codes of each API, and the code that the simulator uses in each situation."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Codes:
    """
    One API's codes.

    Attributes:
        messages: The vendor's text for each code.
        rate_limited: The call is beyond the limit.
        refused: The vendor does not accept the room id.
        internal: An error of the vendor.
        revoked: The signature is correct, but its secret is no longer valid.
        not_activated: The vendor has not activated the list of rooms for the app.
    """

    messages: Mapping[str, str]
    rate_limited: str
    refused: str
    internal: str
    revoked: str
    not_activated: str


_ZEGO_GATEWAY = {
    "100000000": "incorrect Host in the request header",
    "100000001": "invalid AppId format",
    "100000002": "Timestamp is empty",
    "100000003": "invalid Timestamp format",
    "100000004": "signature expired",
    "100000005": "invalid signature",
    "100000006": "Action is empty",
    "100000007": "unsupported Action",
    "100000008": "SignatureNonce is empty",
    "100000009": "Signature is empty",
    "100000010": "failed to get ServerSecret",
    "100000011": "failed to get app configuration",
    "100000012": "failed to read the request body",
    "100000013": "SignatureVersion is empty",
    "100000014": "unsupported SignatureVersion",
    "100000015": "gateway internal error",
    "100000016": "the app is not configured for the production environment",
    "100000017": "the service is not enabled",
}

_DESCRIBE_USER_NUM = {
    "1": "failed",
    "2": "incorrect input parameter",
    "3": "input parameter too long",
    "7": "too many requests",
    "8": "decoding failed",
    "9": "no permission",
    "104": "the room does not exist",
    "5024": "the room does not exist",
    "50001": "the room does not exist",
    "154": "failed to get the list",
    "5018": "the room's state does not match, try again later",
    "206": "the app's rate limit is exceeded",
    "207": "the room's rate limit is exceeded",
}

_QUERY_ROOM_USER_LIST = {
    "1": "server busy",
    "2": "incorrect input parameter",
    "3": "authentication failed",
    "7": "the requests per second exceed the limit",
    "105001": "the database failed",
    "660000001": "server error",
    "660000002": "invalid parameter",
    "660000003": "server error",
    "660300001": "the room does not exist",
    "660300005": "the AppID's limit is exceeded",
    "660300006": "the QPS limit is exceeded",
    "660300007": "failed to obtain the room",
    "660300008": "failed to obtain the list of users: the number of users is empty",
}

_TENCENT = {
    "60002": "HTTP parsing error, check the request URL",
    "60003": "HTTP body JSON parsing error",
    "60004": "the usersig in the request URL or body is invalid",
    "60005": "the identifier in the request URL or body is invalid",
    "60006": "the sdkappid in the request URL is invalid",
    "60007": "the REST API is called too often",
    "60008": "request timed out",
    "60009": "no such resource, check the request URL",
    "60010": "the REST API requires an app admin account",
    "60011": "the SDKAppID's request frequency exceeds its limit",
    "60012": "the REST API requires sdkappid in the URL",
    "60013": "HTTP response JSON parsing error",
    "60014": "the account import timed out",
    "60015": "the request body is incorrect",
    "60016": "the SDKAppID is disabled",
    "60017": "the request is disabled",
    "60018": "the request is limited, try again later",
    "60019": "the request is limited, try again later",
    "60020": "the package has expired or is not activated",
    "60021": "the client IP is not allowed",
    "70001": "the UserSig has expired",
    "70002": "the UserSig is empty",
    "70003": "the UserSig cannot be verified",
    "70005": "the UserSig cannot be verified",
    "70009": "the UserSig was signed with another key than this SDKAppID's",
    "70013": "the identifier in the request is not the UserSig's",
    "70014": "the SDKAppID in the request is not the UserSig's",
    "70016": "the SDKAppID has no key",
    "70020": "the SDKAppID was not found",
    "70050": "the UserSig failed too often, try again in a minute",
    "70051": "the account is blocked",
    "70052": "the UserSig is no longer valid",
    "70107": "the account does not exist",
    "70169": "timed out",
    "70202": "timed out",
    "70402": "a parameter is invalid",
    "70403": "an app admin account is required",
    "70500": "internal error",
    "91000": "internal error, try again",
    "10008": "the signature may be wrong",
    "10011": "the JSON body cannot be parsed",
    "10012": "the operator's UserID is invalid",
    "10019": "the account does not exist",
    "10026": "the command is disabled for this SDKAppID",
    "10059": "the package does not include this feature",
}

_ONLINE_MEMBER_NUM = {
    "10002": "system error",
    "10003": "the command is invalid",
    "10004": "a parameter is invalid",
    "10006": "the operation is too frequent",
    "10007": "no permission: only live stream groups have a number of online users",
    "10010": "the group does not exist or has been disbanded",
    "10015": "the group ID is invalid",
    "10018": "the reply is larger than 1 MB, lower Limit",
}

_MEMBER_LIST = {
    "100001": "system error",
    "100002": "a parameter is invalid",
    "100004": "the room does not exist",
    "100005": "no permission for this room",
    "100006": "the room is not a live room",
    "100007": "no package was bought",
    "100012": "the request is too frequent",
    "100013": "the paid limit is exceeded",
    "100015": "the room type is invalid",
}

_VOLCENGINE = {
    "MissingParameter": "a required parameter is missing",
    "MissingAuthenticationToken": "the request has no Authorization",
    "MissingRequestInfo": "the request lacks information that its signature needs",
    "MissingSignature": "the request has no signature",
    "InvalidTimestamp": "the timestamp is malformed or too far off",
    "ServiceNotFound": "no such service",
    "InvalidActionOrVersion": "no such action in this version",
    "InvalidAccessKey": "no such access key",
    "SignatureDoesNotMatch": "the signature does not match",
    "LackPolicy": "the account lacks a policy for this action",
    "AccessDenied": "access denied",
    "InternalError": "internal error",
    "FailToConnect": "the service cannot be reached",
    "InternalServiceTimeout": "the service timed out",
    "FlowLimitExceeded": "too many requests",
    "ServiceUnavailableTemp": "the service is unavailable for a moment",
    "AccountFlowLimitExceeded": "too many requests of this account",
    "InvalidParameter": "a parameter is invalid",
    "InvalidParameter.IllegalRoomID": "the room id is not valid",
    "InvalidParameter.IllegalAppId": "the app id is not valid",
    "InvalidParameter.NotExistAppId": "the app does not exist",
    "AccessDenied.NoPermissionForApp": "the account has no permission for this app",
    "AccessDenied.ServiceNotEnabled": "the service is not enabled",
    "FlowLimitExceeded.QPSOverLimit": "the QPS limit is exceeded",
    "InternalError.GenerateTokenFailed": "failed to make a token",
    "UndefinedError": "undefined error",
    "InvalidAuthorization": "the Authorization header is malformed",
    "InvalidCredential": "the credential in Authorization is malformed",
    "InvalidSecretToken": "the session token is wrong or has expired",
    "InvalidClientTokenId": "no such access key",
    "LackProjectPolicy": "the account lacks a policy for the project",
    "ServiceShouldCallSelfApi": "a service's key may call its own API alone",
    "InnerApiNeedAccountInfo": "a service's key came without an account",
    "MethodNotAllowed": "the method is not allowed",
    "InternalServiceError": "the service failed",
}

VOLCENGINE_NUMBERS: Mapping[str, tuple[int, int]] = {
    "UndefinedError": (100001, 500),
    "MissingParameter": (100002, 400),
    "MissingAuthenticationToken": (100003, 401),
    "MissingRequestInfo": (100004, 400),
    "MissingSignature": (100005, 401),
    "InvalidTimestamp": (100006, 400),
    "ServiceNotFound": (100007, 404),
    "InvalidActionOrVersion": (100008, 404),
    "InvalidAccessKey": (100009, 401),
    "SignatureDoesNotMatch": (100010, 401),
    "ServiceShouldCallSelfApi": (100011, 403),
    "LackPolicy": (100012, 403),
    "AccessDenied": (100013, 403),
    "InternalError": (100014, 500),
    "FailToConnect": (100015, 200),
    "InternalServiceTimeout": (100016, 200),
    "FlowLimitExceeded": (100018, 200),
    "ServiceUnavailableTemp": (100019, 200),
    "MethodNotAllowed": (100020, 405),
    "InvalidSecretToken": (100026, 401),
    "AccountFlowLimitExceeded": (100027, 200),
    "InvalidAuthorization": (0, 400),
    "InvalidCredential": (0, 400),
    "InvalidClientTokenId": (100009, 401),
    "LackProjectPolicy": (0, 403),
    "InnerApiNeedAccountInfo": (0, 400),
    "InternalServiceError": (0, 502),
}
"""
CodeN and HTTP status of each code. If the vendor documents no status, it is 200: its errors do come with 200.

A code with a dot has the CodeN of the part before the dot, but HTTP 200. A code that is not listed has CodeN 0.
"""

_JANUS = {
    "403": "Unauthorized request (wrong or missing secret/token)",
    "405": "Unauthorized access to plugin (token is not allowed to)",
    "450": "Transport specific error",
    "452": "The request is missing in the message",
    "453": "The gateway does not support this request",
    "454": "The payload is not a valid JSON message",
    "455": "The object is not a valid JSON object as expected",
    "456": "A mandatory element is missing in the message",
    "457": "The request cannot be handled for this webserver path",
    "460": "Invalid plugin",
    "462": "There was an error sending the message to the plugin",
    "467": "The type of one of the elements is invalid",
    "490": "An unknown/undocumented error occurred",
}
_VIDEOROOM = {
    "421": "No message",
    "422": "Invalid JSON",
    "423": "Unknown request",
    "429": "Missing mandatory element (request)",
    "430": "Invalid element type",
    "433": "Unauthorized (wrong admin_key)",
    "499": "Unknown error",
}

CODES: Mapping[str, Codes] = {
    "zego_rtc": Codes(
        messages=_ZEGO_GATEWAY | _DESCRIBE_USER_NUM,
        rate_limited="206",
        refused="2",
        internal="100000015",
        revoked="100000005",
        not_activated="9",
    ),
    "zego_zim": Codes(
        messages=_ZEGO_GATEWAY | _QUERY_ROOM_USER_LIST,
        rate_limited="660300006",
        refused="660000002",
        internal="660000001",
        revoked="100000005",
        not_activated="100000017",
    ),
    "tencent_im": Codes(
        messages=_TENCENT | _ONLINE_MEMBER_NUM,
        rate_limited="60011",
        refused="10015",
        internal="10002",
        revoked="70009",
        not_activated="60020",
    ),
    "tencent_live": Codes(
        messages=_TENCENT | _MEMBER_LIST,
        rate_limited="60011",
        refused="100005",
        internal="100001",
        revoked="70009",
        not_activated="100007",
    ),
    "volcengine_rtc": Codes(
        messages=_VOLCENGINE,
        rate_limited="FlowLimitExceeded.QPSOverLimit",
        refused="InvalidParameter.IllegalRoomID",
        internal="InternalError",
        revoked="SignatureDoesNotMatch",
        not_activated="InvalidActionOrVersion",
    ),
    # A list has no room that could be refused, and only a proxy would limit calls: neither has a code.
    "janus_videoroom": Codes(
        messages=_JANUS | _VIDEOROOM,
        rate_limited="http_429",
        refused="430",
        internal="490",
        revoked="403",
        not_activated="460",
    ),
}
