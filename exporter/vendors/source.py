"""
The configuration of a source that all APIs share, as far as polling uses it.

Each vendor's model adds the API's own keys (credentials, region). The config adds the keys of rooms. All values are
text; pydantic parses them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from exporter.model import REDACTED

DURATION_ACCEPTED: Final = "a duration such as 500ms, 10s or 1m30s"


class Secret:
    """
    A secret of the config. ``str``, ``repr`` and a pydantic dump do not show it.

    Args:
        file: The file that it was read from. If the vendor refuses the secret, the file is read again.
    """

    __slots__ = ("_value", "file")

    def __init__(self, value: str, file: str | None = None) -> None:
        self._value = value
        self.file = file

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return REDACTED

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class SecretForm:
    """
    The form of a vendor's secrets. A secret of another form only gets a warning, since the vendor may change the form.

    Use it with a secret's type: ``Annotated[Secret, SecretForm(…)]``.

    Args:
        pattern: Matches a whole secret.
        described: The pattern in words, as a clause.
        confused_with: Other values of the vendor's console: a pattern, and words that say what it is.
    """

    pattern: str
    described: str
    confused_with: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Documented:
    """
    The documented values of a key. Another value only gets a warning, since the vendor may have added some.

    Use it with the key's type: ``Annotated[str, Documented(…)]``.
    """

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Certificates:
    """
    The contents of a ``ca_file``. Two are equal if their text is equal, even from different files.

    Args:
        pem: Certificates in PEM form, for ``cadata`` of ``ssl``.
        file: The file that they were read from.
    """

    pem: str = field(repr=False)
    file: str = field(compare=False)


def parse_duration(value: object) -> float:
    """
    The seconds of a duration in Go's format, such as ``500ms``, ``10s``, ``1m30s`` or ``1.5h``. ``0`` needs no unit.

    Raises:
        PydanticCustomError: The value is not a duration.
    """
    if isinstance(value, float | int) and not isinstance(value, bool):
        return float(value)
    text = value.strip() if isinstance(value, str) else ""
    if text != "0" and not _DURATION.fullmatch(text):
        raise _refusal(DURATION_ACCEPTED)
    return sum((float(number) * _UNITS[unit] for number, unit in _STEP.findall(text)), 0.0)


def _refusal(accepted: str) -> PydanticCustomError:
    return PydanticCustomError("text", "{accepted}", {"accepted": accepted})


def has_control_character(text: str) -> bool:
    """Whether the text holds a C0 or C1 control character, DEL, or half a surrogate pair."""
    return _CONTROL_CHARACTER.search(text) is not None


def _printable(text: str) -> str:
    if has_control_character(text):
        raise _refusal("text without control characters")
    return text


def duration(shortest: float, longest: float, bounds: str) -> BeforeValidator:
    """
    A validator that parses a duration.

    Args:
        shortest: Lower bound in seconds, inclusive.
        longest: Upper bound in seconds, inclusive.
        bounds: Both bounds in words.
    """

    def read(value: object) -> float:
        try:
            seconds = parse_duration(value)
        except PydanticCustomError:
            seconds = -1.0
        if not shortest <= seconds <= longest:
            raise _refusal(f"{DURATION_ACCEPTED}, {bounds}")
        return seconds

    return BeforeValidator(read, json_schema_input_type=_DurationText)


def _flag(value: object) -> object:
    if isinstance(value, bool):
        return value
    if value not in ("true", "True", "TRUE", "false", "False", "FALSE"):
        raise _refusal("true, false")
    return str(value).lower() == "true"


def _app_number(value: object) -> int:
    number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
    if type(number) is not int or not 0 < number < 2**32:
        raise _refusal("a whole number from 1 to 4294967295")
    return number


def matching(pattern: str, accepted: str) -> AfterValidator:
    """
    A validator that accepts text if the pattern matches all of it.

    Args:
        accepted: The pattern in words.
    """
    compiled = re.compile(pattern)

    def match(text: str) -> str:
        if not compiled.fullmatch(text):
            raise _refusal(accepted)
        return text

    return AfterValidator(match)


_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_STEP: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_DURATION: Final = re.compile(f"(?:{_STEP.pattern})+")
_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DIGITS: Final = re.compile(r"[0-9]{1,10}", re.ASCII)

_DurationText = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^({_STEP.pattern.replace('?:', '')})+$"})]
Text = Annotated[str, AfterValidator(_printable)]
Name = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_printable)]
Flag = Annotated[bool, BeforeValidator(_flag)]
AppNumber = Annotated[
    int, BeforeValidator(_app_number), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 2**32 - 1})
]
"""The id of an app, for vendors that number their apps: an unsigned 32-bit integer above 0."""

INTERVAL: Final = "from 100ms to 24h"
TIMEOUT: Final = "from 100ms to 1m"
MAX_STALENESS: Final = "from 100ms to 168h"


class Source(BaseModel):
    """
    One API that is polled with one app's credentials.

    ``None`` means the default, which depends on the API, the region or the number of rooms.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True, defer_build=True
    )

    name: Name = Field(description="Unique; the label `source`")
    api: Text = Field(description="Which vendor's API is asked")
    interval: Annotated[float, duration(0.1, 86_400.0, INTERVAL)] | None = Field(
        None, description=f"Wanted time between two readings of a room, {INTERVAL}"
    )
    rate_limit: Annotated[float, Field(ge=0.001, le=10_000, allow_inf_nan=False)] | None = Field(
        None, description="Calls per second of the source's budget; default: the documented limit"
    )
    budget: Name | None = Field(None, description="Sources with the same name share one limit")
    timeout: Annotated[float, duration(0.1, 60.0, TIMEOUT)] = Field(
        5.0, description=f"For opening a connection, and again for one call, {TIMEOUT}; default: 5s"
    )
    max_staleness: Annotated[float, duration(0.1, 604_800.0, MAX_STALENESS)] | None = Field(
        None, description=f"How long a room's last reading is published while calls fail, {MAX_STALENESS}"
    )
    allow_http: Flag = Field(default=False, description="Accept an `http` `base_url` elsewhere than on loopback")
    base_url: Annotated[Text, AfterValidator(lambda url: url.removesuffix("/"))] | None = Field(
        None, description="Scheme and host, perhaps a port; default: the vendor's address for the region"
    )
    # The URL may hold a password.
    proxy: Text | None = Field(None, repr=False, description="URL of an HTTP proxy, such as `http://proxy:3128`")
    ca_file: Certificates | None = Field(None, description="File of certificates in PEM form to trust instead")

    @classmethod
    def secret_fields(cls) -> tuple[str, ...]:
        """Names of this model's secrets. The config gives each as ``X``, ``X_env`` or ``X_file``."""
        return tuple(name for name, info in cls.model_fields.items() if is_secret(info.annotation))

    def secrets(self) -> tuple[str, ...]:
        """Every secret of this source, for redaction."""
        values = (getattr(self, name) for name in self.secret_fields())
        return tuple(value.reveal() for value in values if value is not None)

    @property
    def proxy_credentials(self) -> str | None:
        """User and password of the proxy for a Basic authorization header: percent-decoded, in base64."""
        parts = urlsplit(self.proxy or "")
        if parts.username is None:
            return None
        pair = unquote_to_bytes(parts.username) + b":" + unquote_to_bytes(parts.password or "")
        return base64.b64encode(pair).decode()

    @property
    def proxy_secrets(self) -> tuple[str, ...]:
        """The proxy's password in every form that must be redacted. No ``Request`` contains it."""
        password = urlsplit(self.proxy or "").password
        return (password, unquote(password), self.proxy_credentials or "") if password else ()


def is_secret(annotation: Any) -> bool:
    """Whether a field of this type is a secret."""
    return annotation is Secret or annotation == (Secret | None)
