"""Headers that every answer carries, and those that open it to pages of other origins."""

from typing import Final

from gateway.answers import Header

SECURITY: Final[list[Header]] = [
    (b"x-content-type-options", b"nosniff"),
    (b"strict-transport-security", b"max-age=31536000"),
]
PRIVATE: Final[list[Header]] = [
    *SECURITY,
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"permissions-policy", b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"referrer-policy", b"no-referrer"),
]
# JSON is no page: it loads nothing, so a short policy says all. Every header costs each answer a microsecond.
SHOWCASE: Final[list[Header]] = [
    *SECURITY,
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"age, etag, retry-after"),
]
PREFLIGHT: Final[list[Header]] = [
    *SHOWCASE,
    (b"allow", b"GET, HEAD, OPTIONS"),
    (b"access-control-allow-methods", b"GET, HEAD, OPTIONS"),
    (b"access-control-allow-headers", b"if-none-match"),
    (b"access-control-max-age", b"86400"),
]


# Without credentials: a key travels in a header that the page sets itself, never in a cookie.
_KEYED_PREFLIGHT: Final[list[Header]] = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, if-none-match, mcp-method, mcp-name, mcp-protocol-version, mcp-session-id, "
        b"x-api-key, x-request-id",
    ),
    (b"access-control-max-age", b"600"),
]


def cross_origin(origin: bytes) -> list[Header]:
    """What lets a page of this origin read an answer."""
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", b"age, etag, link, retry-after, x-request-id"),
        (b"vary", b"origin"),
    ]


def keyed_preflight() -> list[Header]:
    """The rest of the answer to a pre-flight from an origin that may ask keyed routes."""
    return _KEYED_PREFLIGHT


def headers_for(path: str) -> list[Header]:
    """The headers to add to any answer for a path."""
    return SHOWCASE if path.startswith("/showcase/") else PRIVATE
