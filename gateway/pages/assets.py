"""The files that the pages load, read once: own scripts and styles, and the libraries that set-up put beside them.

Their address names a digest of them all, so a browser may keep each for ever and never mixes two versions: scripts
import each other by relative addresses, which stay below the same digest.
"""

import hashlib
from pathlib import Path
from typing import Final

from gateway.answers import WORTH_COMPRESSING, deflate, gzip_spliced

STATIC: Final = Path(__file__).with_name("static")
VENDOR: Final = STATIC / "vendor"  # put there by tools/scripts.sh; not committed
TYPES: Final = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
}


def _read() -> dict[str, tuple[bytes, bytes]]:
    paths = sorted(path for folder in (STATIC, VENDOR) for path in folder.glob("*.*") if path.suffix in TYPES)
    return {path.name: (TYPES[path.suffix], path.read_bytes()) for path in paths}


ASSETS: Final[dict[str, tuple[bytes, bytes]]] = _read()  # by name: media type, bytes
COMPRESSED: Final[dict[str, bytes]] = {  # the same as gzip, once for all readers
    name: gzip_spliced(b"", body, deflate(body)) for name, (_, body) in ASSETS.items() if len(body) >= WORTH_COMPRESSING
}
VERSION: Final = hashlib.blake2b(
    b"".join(name.encode() + body for name, (_, body) in ASSETS.items()), digest_size=6
).hexdigest()
