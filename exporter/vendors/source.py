"""
What every source has, whatever its API: the part of a source's configuration that polling reads.

The API's own keys (credentials, region) are added by each vendor's model. Values arrive as text; pydantic types them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from exporter.model import REDACTED

DURATION_ACCEPTED: Final = "a duration such as 500ms, 10s or 1m30s"
_DURATION = re.compile(r"(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m(?!s))?(?:(?P<s>\d+(?:\.\d+)?)s)?(?:(?P<ms>\d+)ms)?", re.ASCII)


class Secret:
    """
    A secret of the config; neither ``str``, ``repr`` nor a pydantic dump shows it.

    Args:
        file: The file it was read from; such a secret may be read again when the vendor refuses it.
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
    What a vendor's secrets of one kind look like. Another form only earns a warning: the vendor may change it.

    Stands beside a secret's type: ``Annotated[Secret, SecretForm(…)]``.

    Args:
        pattern: Matches such a secret as a whole.
        described: The pattern in words, as a whole clause.
        confused_with: What else the vendor's console shows, by pattern; the words say what it is.
    """

    pattern: str
    described: str
    confused_with: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Documented:
    """
    The values of a key that the vendor documents. Another one only earns a warning: the vendor may have more by now.

    Stands beside the key's type: ``Annotated[str, Documented(…)]``.
    """

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Certificates:
    """
    The certificates of a ``ca_file``, as they were when it was read. Equal if their text is, whatever the file.

    Args:
        pem: For ``ssl``, as ``cadata``.
        file: To read them again from.
    """

    pem: str = field(repr=False)
    file: str = field(compare=False)


def parse_duration(value: object) -> float:
    """
    Seconds of a duration such as ``500ms``, ``10s``, ``1m30s`` or ``1h``.

    Raises:
        PydanticCustomError: Not a duration, or not above zero.
    """
    if isinstance(value, float | int) and not isinstance(value, bool):
        return float(value)
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) and value.strip() else None
    if match is None or not (seconds := _seconds(match)):
        raise PydanticCustomError("duration", "{accepted}", {"accepted": DURATION_ACCEPTED})
    return seconds


def _seconds(match: re.Match[str]) -> float:
    weights = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return sum(float(match[unit]) * weight for unit, weight in weights.items() if match[unit])


Duration = Annotated[float, BeforeValidator(parse_duration)]


def _app_number(value: object) -> int:
    number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
    if type(number) is not int or not 0 < number < 2**32:
        raise PydanticCustomError("app_number", "a whole number from 1 to 4294967295")
    return number


_DIGITS = re.compile(r"[0-9]{1,10}", re.ASCII)

AppNumber = Annotated[int, BeforeValidator(_app_number)]
"""An app's id where the vendor numbers its apps: an unsigned 32-bit integer above 0."""


def matching(pattern: str, accepted: str) -> AfterValidator:
    """
    Accepts text that matches as a whole.

    Args:
        accepted: The pattern in words.
    """
    compiled = re.compile(pattern)

    def match(text: str) -> str:
        if not compiled.fullmatch(text):
            raise PydanticCustomError("text", "{accepted}", {"accepted": accepted})
        return text

    return AfterValidator(match)


class Source(BaseModel):
    """
    One API polled with one app's credentials, as polling sees it.

    ``None`` stands for the default, which depends on the API, the region or the number of rooms.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    name: str = Field(min_length=1, max_length=128)
    api: str
    interval: Duration | None = None
    rate_limit: Annotated[float, Field(ge=0.001, le=10_000, allow_inf_nan=False)] | None = None
    budget: str | None = Field(default=None, min_length=1, max_length=128)
    timeout: Duration = 5.0
    max_staleness: Duration | None = None
    base_url: Annotated[str, AfterValidator(lambda url: url.removesuffix("/"))] | None = None
    allow_http: bool = False
    # The URL may hold a password.
    proxy: str | None = Field(default=None, repr=False)
    ca_file: Certificates | None = None

    @classmethod
    def secret_fields(cls) -> tuple[str, ...]:
        """Names of this model's secrets; each is configured as ``X``, ``X_env`` or ``X_file``."""
        return tuple(name for name, info in cls.model_fields.items() if _is_secret(info.annotation))

    def secrets(self) -> tuple[str, ...]:
        """Every secret of this source, for redaction."""
        values = (getattr(self, name) for name in self.secret_fields())
        return tuple(value.reveal() for value in values if value is not None)


def _is_secret(annotation: Any) -> bool:
    return annotation is Secret or annotation == (Secret | None)
