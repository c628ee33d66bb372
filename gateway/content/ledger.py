"""The hash chains of the ledger: how long they are, what they end with, and piece by piece the hashes themselves."""

from typing import Any, Final

from candlecast.records import ADDED, FIELDS, GENESIS
from gateway.answers import iso
from gateway.content.shelf import utc
from gateway.patience import Patient

SEAL_JOB: Final = "seal-ledger"
N_SEALS: Final = 30

NOTE: Final = (
    "A chain is what one model issued on one interval, in the order in which it was recorded. head is the row_hash of "
    "its newest row. Days that are over are sealed: the Merkle root over the row hashes of a day is published where "
    "whoever runs this site cannot edit it, so compare a root with the published file before you trust it."
)
COVERS: Final = (
    "row_hash is the SHA-256 of the columns in `covers`, in their order, as PostgreSQL's record_send writes them: the "
    "number of fields (int32); then for each the number of its type (int32), the length of its value (int32, -1 for "
    "NULL) and the value; big-endian, texts as bytes in UTF-8 (type 17), instants as microseconds since 2000-01-01 "
    "UTC, arrays as dimensions 1, no NULL, element type, length, first index 1, then length and value of each element. "
    "A row with neither a feed nor a calibration has neither field. prev_hash is the row_hash of the row before; that "
    "of the first row is the SHA-256 of nothing. /v1/ledger/export has every value: `candlecast verify --ledger FILE` "
    "computes all hashes anew from it."
)


async def read_ledger(database: Patient) -> dict[str, Any]:
    """The body of /v1/ledger; raises Problem 503 while the database cannot be read."""
    chains = await database.rows("gateway_ledger")
    seals = await database.rows("gateway_seals", job=SEAL_JOB, n_days=N_SEALS)
    return {
        "note": NOTE,
        "chains": [
            {
                "model_name": chain["model_name"],
                "interval": chain["interval"],
                "n_rows": chain["chain_seq"],
                "head": chain["row_hash"].hex(),
                "updated_at": iso(utc(chain["updated_at"])),
                "href": f"/v1/ledger/{chain['model_name']}/{chain['interval']}",
            }
            for chain in chains
        ],
        "seals": [
            {"day": seal["day"], "root": seal["root"], "sealed_at": iso(utc(seal["sealed_at"]))} for seal in seals
        ],
        "export": "/v1/ledger/export",
    }


async def read_chain(database: Patient, model_name: str, interval: str, after: int, limit: int) -> dict[str, Any]:
    """The rows of a chain behind the place `after`, `limit` at most; raises Problem 503."""
    rows = await database.rows(
        "gateway_ledger_rows", model_name=model_name, interval=interval, after=after, n_rows=limit + 1
    )
    told = rows[:limit]
    more = len(rows) > limit
    return {
        "model_name": model_name,
        "interval": interval,
        "genesis": GENESIS.hex(),
        "covers": [*FIELDS, *ADDED],
        "note": COVERS,
        "n_rows": len(told),
        "rows": [
            {
                "chain_seq": row["chain_seq"],
                "prediction_id": str(row["prediction_id"]),
                "symbol": row["symbol"],
                "issued_at": iso(utc(row["issued_at"])),
                "recorded_at": iso(utc(row["recorded_at"])),
                "status": row["status"],
                "data_hash": row["data_hash"].hex(),
                "paths_hash": None if row["paths_hash"] is None else row["paths_hash"].hex(),
                "prev_hash": row["prev_hash"].hex(),
                "row_hash": row["row_hash"].hex(),
                "href": f"/v1/predictions/by-id/{row['prediction_id']}",
            }
            for row in told
        ],
        "next": f"/v1/ledger/{model_name}/{interval}?after={told[-1]['chain_seq']}&limit={limit}" if more else None,
    }
