"""
Recognizes values that cannot be the secret: a placeholder, an unreplaced variable, another value of the same console.

The result is only a warning, and shows no part of the secret. So an operator learns of the mistake from ``check``,
hours before the vendor refuses a signature.
"""

from __future__ import annotations

import base64
import re
from typing import Final

from exporter.vendors.source import SecretForm

# The first match counts. A pattern must match the whole secret.
_LOOKS: Final = tuple(
    (re.compile(pattern, re.DOTALL), words)
    for pattern, words in (
        (r"\s.*|.*\s", "a secret with white space before or after it, which is used as a part of it"),
        (r"[\"'`‘’“”].*|.*[\"'`‘’“”]", "a secret with quotes around it, which are used as a part of it"),
        (
            r"\$\w+|\$\{.*\}|\$\(.*\)|.*\{\{.*\}\}.*|%\w+%",
            "the name of a variable where the secret belongs: nothing has replaced it by its value",
        ),
        (
            r"(?:export\s+)?[A-Za-z_]\w*=[^=].*|[A-Za-z_]\w*:\s.*",
            "a name and its value where the value alone belongs",
        ),
        (r"<.*>|\[.*\]|[.…*xX?_-]+", "a placeholder where the secret belongs"),
        (
            r"(?i:change[ _-]?me|replace[ _-]?me|to[ _-]?do|(?:your|my|the)[ _-].*|example|secret|password)",
            "a placeholder where the secret belongs",
        ),
        (r".*\s.*", "a secret with white space in it"),
        (r".*[^!-~].*", "a secret with characters beyond ASCII"),
    )
)


def oddity(secret: str, form: SecretForm | None) -> str | None:
    """Why this cannot be the secret, without showing it; ``None`` if it may be the secret."""
    for look, words in _LOOKS:
        if look.fullmatch(secret):
            return words
    if form is None or re.fullmatch(form.pattern, secret):
        return None
    if _is_base64(secret, form):
        return f"base64 where the secret itself belongs; {form.described}"
    hints = [f", {words}" for pattern, words in form.confused_with.items() if re.fullmatch(pattern, secret)]
    return f"a secret of {len(secret)} character{'s' * (len(secret) > 1)}{''.join(hints[:1])}; {form.described}"


def _is_base64(secret: str, form: SecretForm) -> bool:
    """Whether this is the secret in base64, as in ``data`` of a Kubernetes Secret."""
    try:
        decoded = base64.b64decode(secret, validate=True).decode().removesuffix("\n")
    except ValueError:
        return False
    return re.fullmatch(form.pattern, decoded) is not None
