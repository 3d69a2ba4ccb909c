"""Secrets that the registry gives out: 256 random bits as text, kept as their SHA-256."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

KEY_PREFIX: Final = "hb_"
ENROLMENT_PREFIX: Final = "hbe_"
CREDENTIAL_PREFIX: Final = "hbc_"
_BYTES: Final = 32
_CHARS: Final = 43


def new_token(prefix: str) -> str:
    """A fresh secret: the prefix and 43 characters of URL-safe base64."""
    return prefix + secrets.token_urlsafe(_BYTES)


def token_hash(prefix: str, token: str) -> bytes | None:
    """What the registry keeps of a secret; None for what can't be one."""
    if not token.startswith(prefix) or len(token) != len(prefix) + _CHARS:
        return None
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
