"""Who may read what needs a key: the keys of the database, kept in memory, and the one of the showcase deployment.

A key is looked up and compared without waiting for anything, so known keys keep working while the database is away.
The watch brings the keys up to date with every look, so a new one works, and a revoked one stops, within seconds.
"""

import hmac
import logging
import time
from collections.abc import Iterable
from typing import Annotated, Final

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from candlecast.keys import KeyRecord, digest_of, key_id_of
from gateway import problems
from gateway.answers import Header
from gateway.database import Database, DatabaseError, DatabaseUnreachable

logger = logging.getLogger(__name__)

SHOWCASE_ID: Final = "showcase"  # the id of SHOWCASE_API_KEY
MAX_LENGTH: Final = 256
CHALLENGE: Final = 'Bearer realm="candlecast"'

_API_KEY: Final = APIKeyHeader(
    name="X-API-Key",
    scheme_name="ApiKey",
    auto_error=False,
    description="A key that `candlecast keys create` made.",
)
_BEARER: Final = HTTPBearer(
    scheme_name="Bearer", auto_error=False, description="The same key as `Authorization: Bearer …`."
)


class Access:
    """The keys that open the keyed routes.

    Parameters
    ----------
    showcase_key : a key that is not in the database but in the settings
    """

    def __init__(self, showcase_key: str | None = None) -> None:
        self._showcase = None if showcase_key is None else digest_of(showcase_key.encode())
        self._keys: dict[str, tuple[bytes, float]] = {}  # digest, and the second at which it expires
        self._begun = False
        self._warned = False

    def learn(self, records: Iterable[KeyRecord]) -> None:
        """Let exactly these keys open from now on, besides the showcase's; revoked ones among them do not."""
        self._keys = {
            record.key_id: (record.digest, record.expires_at.timestamp() if record.expires_at else float("inf"))
            for record in records
            if record.revoked_at is None
        }
        self._begun = True

    async def renew(self, database: Database) -> None:
        """Learn the keys that are on record now.

        Raises
        ------
        DatabaseUnreachable : no answer; the keys known before stay.
        """
        try:
            rows = await database.rows("gateway_keys")
        except DatabaseUnreachable:
            raise
        except DatabaseError as error:  # forecasts need no key, so they are not held up
            if not self._warned:
                logger.warning("the keys of readers cannot be read: %s", error)
            self._warned = True
            return
        self.learn(KeyRecord(**row) for row in rows)

    def key_id(self, raw: bytes) -> str | None:
        """The id of the key that `raw` is; None when it opens nothing.

        No input or output. The time it takes tells whether the id is known, which is no secret, and nothing about
        the rest: digests are compared in constant time.
        """
        if len(raw) > MAX_LENGTH:
            return None
        digest = digest_of(raw)
        if self._showcase is not None and hmac.compare_digest(digest, self._showcase):
            return SHOWCASE_ID
        key_id = key_id_of(raw)
        known = None if key_id is None else self._keys.get(key_id)
        if known is None or not hmac.compare_digest(digest, known[0]) or time.time() >= known[1]:
            return None
        return key_id

    async def check(
        self,
        request: Request,
        _key: Annotated[str | None, Security(_API_KEY)] = None,  # both only describe themselves in OpenAPI
        _bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)] = None,
    ) -> str:
        """The id of the key that a request brings; a dependency of keyed routes.

        Raises
        ------
        Problem : 401 unauthorised without a key or with one that opens nothing; 503 not_ready for what may be a key
            while those of the database were never read.
        """
        raw = presented(request.scope["headers"])
        if raw is None:
            raise problems.Problem(
                "unauthorised",
                "This address needs a key: send it in the header X-API-Key, or as Authorization: Bearer. Whoever runs "
                "this site makes one with `candlecast keys create NAME`; /showcase/instruments needs none.",
                headers={"www-authenticate": CHALLENGE},
            )
        key_id = self.key_id(raw)
        if key_id is None:
            if not self._begun and key_id_of(raw) is not None:
                raise problems.not_ready("the keys have not been read yet", 2.0)
            raise problems.Problem(
                "unauthorised",
                "The key that was sent opens nothing: it is mistyped or cut, unknown, expired or revoked. Ask whoever "
                "runs this site for another; `candlecast keys list` shows them the state of each.",
                headers={"www-authenticate": f'{CHALLENGE}, error="invalid_token"'},
            )
        request.state.key_id = key_id
        return key_id


def presented(headers: Iterable[Header]) -> bytes | None:
    """The key in the headers of an ASGI request; None when there is none.

    X-API-Key goes before Authorization: Bearer. One that is given twice is joined by a comma, as a proxy would do, and
    so opens nothing.
    """
    keys: list[bytes] = []
    bearers: list[bytes] = []
    for name, value in headers:
        if name == b"x-api-key":
            keys.append(value.strip())
        elif name == b"authorization" and value[:7].lower() == b"bearer ":
            bearers.append(value[7:].strip())
    found = keys or bearers
    return b",".join(found) if found else None
