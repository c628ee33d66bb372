"""Keys of readers: how one is made, how its text is taken apart, and what is kept of it.

    ck_k3v9q2m7xd_T9rH…mQ0_1f6c02ab
       id         secret   checksum
                  43 url-safe characters, 256 random bits

The id is public and names the key in lists and logs. The checksum (CRC-32 of all before it) tells a mistyped or cut
key from a foreign one without a look-up, and lets a secret scanner be sure of what it found. Of the text only its
SHA-256 is kept: with 256 random bits behind it there is nothing to guess, so a slow hash would protect nothing more.
"""

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

ID_LENGTH: Final = 10
_ID_SIGNS: Final = "23456789abcdefghjkmnpqrstuvwxyz"  # none that look alike
_FORM: Final = re.compile(rb"(ck_([2-9a-z]{10})_[A-Za-z0-9_-]{43,86})_([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: the only moment at which its text is known."""

    key_id: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is kept of a key. `digest` is the SHA-256 of its text; instants are UTC."""

    key_id: str
    name: str
    digest: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def state(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "active" if self.expires_at is None or now < self.expires_at else "expired"


def make_key() -> NewKey:
    """A new key from the operating system's randomness."""
    key_id = "".join(secrets.choice(_ID_SIGNS) for _ in range(ID_LENGTH))
    body = f"ck_{key_id}_{secrets.token_urlsafe(32)}"
    return NewKey(key_id, f"{body}_{_checksum(body.encode())}")


def key_id_of(raw: bytes) -> str | None:
    """The id that a key's text names; None when the text is no key: another form, cut short or mistyped.

    Takes bytes, as they come in a header: they need not be text in any encoding.
    """
    form = _FORM.fullmatch(raw)
    if form is None or _checksum(form[1]).encode() != form[3]:
        return None
    return form[2].decode()


def digest_of(raw: bytes) -> bytes:
    """What is kept of a key's text, and compared."""
    return hashlib.sha256(raw).digest()


def _checksum(body: bytes) -> str:
    return f"{zlib.crc32(body):08x}"
