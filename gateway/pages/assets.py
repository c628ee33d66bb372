"""The files that the pages load, read once: own scripts and styles, and the libraries that tools/scripts.sh put into
vendor/ at set-up.

Their address names a digest of them all, so a browser may keep each for ever and never mixes two versions: scripts
import each other by relative addresses, which stay below the same digest.
"""

import hashlib
import posixpath
import re
from pathlib import Path
from typing import Final

from gateway.answers import WORTH_COMPRESSING, deflate, gzip_spliced

STATIC: Final = Path(__file__).with_name("static")
TYPES: Final = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
}


def _read() -> dict[str, tuple[bytes, bytes]]:
    paths = sorted(path for path in STATIC.rglob("*.*") if path.suffix in TYPES)
    return {path.relative_to(STATIC).as_posix(): (TYPES[path.suffix], path.read_bytes()) for path in paths}


ASSETS: Final[dict[str, tuple[bytes, bytes]]] = _read()  # by address below static/: media type, bytes
COMPRESSED: Final[dict[str, bytes]] = {  # the same as gzip, once for all readers
    name: gzip_spliced(b"", body, deflate(body)) for name, (_, body) in ASSETS.items() if len(body) >= WORTH_COMPRESSING
}
VERSION: Final = hashlib.blake2b(
    b"".join(name.encode() + body for name, (_, body) in ASSETS.items()), digest_size=6
).hexdigest()


def modules(script: str) -> list[str]:
    """What a script imports, and what that imports: named in its page, they come side by side and not one by one."""
    found = [script]
    for name in found:
        for address in re.findall(rb'^import [^"]*"([^"]+)";', ASSETS[name][1], re.MULTILINE):
            imported = posixpath.normpath(posixpath.join(posixpath.dirname(name), address.decode()))
            if imported not in found:
                found.append(imported)
    return found[1:]
