"""Renters' SSH public keys: which lines are taken, and the delivery blob that carries them through the engine.

A line is taken when its algorithm is on the list, its base64 parses and says the same algorithm inside, and its numbers
have the size that OpenSSH wants; options, comments and anything else stay out of what a sandbox is given.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from engine.limits import Limits
from exchange.gateway.errors import Problem

MAX_LINE_CHARS: Final = 4096
RSA_MIN_BITS: Final = 2048
RSA_MAX_BITS: Final = 16_384
DELIVERY_MAX_BYTES: Final = Limits().max_delivery_bytes

_ED25519_BYTES: Final = 32
_MAX_APPLICATION_BYTES: Final = 255
_CURVE_POINT_BYTES: Final = {b"nistp256": 65, b"nistp384": 97, b"nistp521": 133}
_UNCOMPRESSED: Final = 4


class _Delivery(msgspec.Struct, frozen=True):
    """The blob's form, as the provisioner reads it."""

    ssh_keys: list[str]


class _Fields:
    """Reads the length-prefixed fields of a key (RFC 4251); ValueError at the first that isn't there."""

    def __init__(self, blob: bytes) -> None:
        self._rest = blob

    def string(self) -> bytes:
        length = int.from_bytes(self._rest[:4], "big")
        field = self._rest[4 : 4 + length]
        if len(self._rest) < 4 or len(field) != length:
            raise ValueError("the key's data is cut short")
        self._rest = self._rest[4 + length :]
        return field

    def positive(self) -> int:
        data = self.string()
        if not data or data[0] & 0x80 or (data[0] == 0 and not (len(data) > 1 and data[1] & 0x80)):
            raise ValueError("the key has a number that is negative or padded")
        return int.from_bytes(data, "big")

    def end(self) -> None:
        if self._rest:
            raise ValueError("the key has data after its end")


def normalize(line: str, field: str = "ssh_keys") -> str:
    """`type base64` of an OpenSSH public key line; Problem invalid_ssh_key when the line isn't one that is taken."""
    try:
        return _normalize(line)
    except ValueError as error:
        raise Problem("invalid_ssh_key", f"Not a public key that is taken: {error}", field=field) from error


def fingerprint(public_key: str) -> str:
    """`SHA256:...` of a normalized line, as `ssh-keygen -l` prints it."""
    digest = hashlib.sha256(base64.b64decode(public_key.split(" ")[1])).digest()
    return "SHA256:" + base64.b64encode(digest).rstrip(b"=").decode()


def delivery_blob(public_keys: Sequence[str], field: str = "ssh_keys") -> bytes:
    """The delivery of a bid for these normalized lines; Problem invalid_ssh_key when they are too long together."""
    blob = msgspec.json.encode(_Delivery(ssh_keys=list(dict.fromkeys(public_keys))))
    if len(blob) > DELIVERY_MAX_BYTES:
        raise Problem(
            "invalid_ssh_key", f"The SSH keys together take more than {DELIVERY_MAX_BYTES} bytes", field=field
        )
    return blob


def _normalize(line: str) -> str:
    if len(line) > MAX_LINE_CHARS:
        raise ValueError(f"it has more than {MAX_LINE_CHARS} characters")
    if not line.isprintable():
        raise ValueError("it has line breaks or control characters")
    parts = line.strip(" ").split(" ", 2)
    algorithm = parts[0]
    if algorithm not in _CHECKS:
        raise ValueError(f"the algorithm must be one of {', '.join(_CHECKS)}, at the start of the line")
    if len(parts) == 1:
        raise ValueError("the key's data is missing")
    try:
        blob = base64.b64decode(parts[1].encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("the key's data is not base64") from error
    fields = _Fields(blob)
    if fields.string() != algorithm.encode():
        raise ValueError("the algorithm inside differs from the one named")
    _CHECKS[algorithm](fields)
    fields.end()
    return f"{algorithm} {base64.b64encode(blob).decode()}"


def _ed25519(fields: _Fields) -> None:
    if len(fields.string()) != _ED25519_BYTES:
        raise ValueError("an ed25519 key has 32 bytes")


def _rsa(fields: _Fields) -> None:
    exponent, modulus = fields.positive(), fields.positive()
    if not RSA_MIN_BITS <= modulus.bit_length() <= RSA_MAX_BITS:
        raise ValueError(f"an RSA key has {RSA_MIN_BITS} to {RSA_MAX_BITS} bits")
    if exponent < 3 or exponent % 2 == 0 or modulus % 2 == 0:
        raise ValueError("the RSA numbers can't be a key's")


def _ecdsa(fields: _Fields, curve: bytes) -> None:
    if fields.string() != curve:
        raise ValueError("the curve inside differs from the one named")
    point = fields.string()
    if len(point) != _CURVE_POINT_BYTES[curve] or point[0] != _UNCOMPRESSED:
        raise ValueError("the point isn't one of the named curve")


def _sk_ed25519(fields: _Fields) -> None:
    _ed25519(fields)
    _application(fields)


def _sk_ecdsa(fields: _Fields) -> None:
    _ecdsa(fields, b"nistp256")
    _application(fields)


def _application(fields: _Fields) -> None:
    if not 1 <= len(fields.string()) <= _MAX_APPLICATION_BYTES:
        raise ValueError("a security key names its application")


_CHECKS: Final[dict[str, Callable[[_Fields], None]]] = {
    "ssh-ed25519": _ed25519,
    "ssh-rsa": _rsa,
    "ecdsa-sha2-nistp256": partial(_ecdsa, curve=b"nistp256"),
    "ecdsa-sha2-nistp384": partial(_ecdsa, curve=b"nistp384"),
    "ecdsa-sha2-nistp521": partial(_ecdsa, curve=b"nistp521"),
    "sk-ssh-ed25519@openssh.com": _sk_ed25519,
    "sk-ecdsa-sha2-nistp256@openssh.com": _sk_ecdsa,
}
