"""Migrations: from nothing to head, back, twice, at once, and equal to what the code believes."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, insert, text
from sqlalchemy.engine import make_url

from candlecast.store import migrate
from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.engine import create_engine
from candlecast.store.ledger import verify
from candlecast.store.predictions import PredictionRow, insert_predictions
from candlecast.store.tables import metadata, ml_predictions

from .forecast_rows import ISSUED, add_instruments, forecast_row


def objects(conn: Connection) -> list[str]:
    """Every relation and function of the schema, by name."""
    query = (
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'candlecast'::regnamespace UNION ALL "
        "SELECT proname::text FROM pg_proc WHERE pronamespace = 'candlecast'::regnamespace ORDER BY 1"
    )
    return list(conn.execute(text(query)).scalars())


def test_an_empty_database_is_brought_to_head_and_a_second_time_changes_nothing(
    postgres: EmbeddedPostgres, empty_database: str
) -> None:
    url = postgres.url(empty_database)

    assert migrate.upgrade(url) == migrate.head()
    engine = create_engine(url, application_name="test")
    with engine.connect() as conn:
        before = objects(conn)
        assert migrate.is_current(conn)
    assert migrate.upgrade(url) == migrate.head()
    with engine.connect() as conn:
        assert objects(conn) == before
    engine.dispose()


def test_a_database_without_the_schema_is_at_no_revision(postgres: EmbeddedPostgres, empty_database: str) -> None:
    engine = create_engine(postgres.url(empty_database), application_name="test")
    with engine.connect() as conn:
        assert migrate.current(conn) is None
        assert not migrate.is_current(conn)
    engine.dispose()


def test_a_filled_database_goes_down_to_nothing_and_up_again(database_url: str) -> None:
    engine = create_engine(database_url, application_name="test")
    with engine.begin() as conn:
        before = objects(conn)
        add_instruments(conn, "BTCUSDT")
        insert_predictions(conn, [forecast_row(n_paths=3)], scored_steps=(1, 4), fence=None)
    engine.dispose()

    assert migrate.downgrade(database_url, "base") is None
    with engine.connect() as conn:
        assert objects(conn) == ["alembic_version", "alembic_version_pkc"]
    assert migrate.upgrade(database_url) == migrate.head()
    with engine.connect() as conn:
        assert objects(conn) == before
        assert conn.execute(text("SELECT count(*) FROM candlecast.ml_predictions")).scalar_one() == 0
    engine.dispose()


def test_a_ledger_from_before_there_were_feeds_and_corrections_goes_on_and_verifies(
    postgres: EmbeddedPostgres, empty_database: str
) -> None:
    url = postgres.url(empty_database)
    assert migrate.upgrade(url, "0002") == "0002"
    engine = create_engine(url, application_name="test")
    old = [forecast_row(issued_at=ISSUED + timedelta(hours=hour), model_name="kronos-base") for hour in range(3)]
    with engine.begin() as conn:
        add_instruments(conn, "BTCUSDT")
        conn.execute(insert(ml_predictions), [as_it_was_stored_at_0002(row) for row in old])
        before = stored_hashes(conn)
    engine.dispose()

    migrate.upgrade(url)

    with engine.begin() as conn:
        assert stored_hashes(conn) == before
        assert verify(conn).ok
        # What the calibrator learns from is there as if it had been written then: steps 1 and 4 of a horizon of 4.
        fans = text("SELECT issued_at, step, fan, too_late FROM candlecast.forecast_steps ORDER BY issued_at, step")
        assert [tuple(row) for row in conn.execute(fans)] == [
            (row.issued_at, step, np.asarray(row.fan)[step - 1].tolist(), False) for row in old for step in (1, 4)
        ]
        made = {"steps": [1], "factors": [[1.5] * 11], "n_eff": [0.0]}
        new = forecast_row(
            issued_at=ISSUED + timedelta(hours=3), model_name="kronos-base", feed="binance", calibration=made
        )
        bare = forecast_row(issued_at=ISSUED + timedelta(hours=4), model_name="kronos-base")
        assert insert_predictions(conn, [new, bare], scored_steps=(1,), fence=None) == 2
        report = verify(conn)
        assert report.ok
        assert report.n_rows == 5
    engine.dispose()


def as_it_was_stored_at_0002(row: PredictionRow) -> dict[str, Any]:
    """The columns that there were, as parameters of an INSERT."""
    given = {field.name: getattr(row, field.name) for field in fields(PredictionRow)}
    for later in ("feed", "calibration", "paths", "replay"):
        del given[later]
    for name in ("p10", "p50", "p90", "fan"):
        given[name] = np.asarray(given[name]).reshape(-1).tolist()
    # The trigger puts the place in the chain and the hashes in their places.
    sealed = {"status": "on_time", "chain_seq": 0, "prev_hash": b"", "row_hash": b""}
    return given | sealed | {"prediction_id": row.prediction_id, "data_hash": bytes.fromhex(str(row.data_hash))}


def stored_hashes(conn: Connection) -> list[bytes]:
    return list(conn.execute(text("SELECT row_hash FROM candlecast.ml_predictions ORDER BY chain_seq")).scalars())


def test_two_processes_may_migrate_the_same_database_at_once(postgres: EmbeddedPostgres, empty_database: str) -> None:
    url = postgres.url(empty_database)

    with ThreadPoolExecutor(2) as pool:
        reached = list(pool.map(migrate.upgrade, [url, url]))

    assert reached == [migrate.head(), migrate.head()]


def test_a_failed_migration_leaves_the_database_as_it_was(postgres: EmbeddedPostgres, empty_database: str) -> None:
    engine = create_engine(postgres.url(empty_database), application_name="test")
    with engine.begin() as conn:
        conn.execute(text("CREATE SCHEMA candlecast AUTHORIZATION candlecast_owner"))
        conn.execute(text("CREATE TABLE candlecast.job_leases (in_the_way int)"))

    with pytest.raises(Exception, match="job_leases"):
        migrate.upgrade(postgres.url(empty_database))

    with engine.connect() as conn:
        assert objects(conn) == ["job_leases"]
    engine.dispose()


def test_a_user_that_may_not_make_the_schema_is_told_what_an_administrator_has_to_run(
    postgres: EmbeddedPostgres, empty_database: str
) -> None:
    with pytest.raises(migrate.MigrationRefused, match="GRANT candlecast_owner TO candlecast_reader_login") as refused:
        migrate.upgrade(postgres.url(empty_database, "reader"))

    password = make_url(postgres.url(empty_database, "reader")).password
    assert password is not None
    assert password not in str(refused.value)


def test_the_tables_in_code_are_the_tables_in_the_database(engine: Engine) -> None:
    with engine.connect() as conn:
        context = MigrationContext.configure(
            conn,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_schemas": True,
                "include_name": lambda name, kind, _: name == "candlecast" if kind == "schema" else True,
                "include_object": lambda obj, _name, kind, reflected, _other: (
                    not (reflected and kind == "table" and obj.key not in metadata.tables)
                ),
            },
        )

        assert compare_metadata(context, metadata) == []


def test_a_hosted_database_whose_user_is_no_superuser_can_be_migrated_from_nothing(postgres: EmbeddedPostgres) -> None:
    """As on Supabase: a user with CREATEROLE that owns the database, and no role of ours on the server yet."""
    with psycopg.connect(postgres.url("postgres", "superuser").replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute("CREATE ROLE hosted LOGIN CREATEROLE CREATEDB PASSWORD 'hosted'")
        admin.execute("CREATE DATABASE hosted OWNER hosted")
        # Out of the way under other names: the logins and other databases keep what they have.
        for role in ("owner", "writer", "reader"):
            admin.execute(f"ALTER ROLE candlecast_{role} RENAME TO set_aside_{role}")
        try:
            url = make_url(postgres.url("hosted")).set(username="hosted", password="hosted")

            assert migrate.upgrade(url.render_as_string(hide_password=False)) == migrate.head()
            assert migrate.downgrade(url.render_as_string(hide_password=False), "base") is None
        finally:
            admin.execute("DROP DATABASE hosted WITH (FORCE)")
            for role in ("owner", "writer", "reader"):
                admin.execute(f"DROP ROLE IF EXISTS candlecast_{role}")
                admin.execute(f"ALTER ROLE set_aside_{role} RENAME TO candlecast_{role}")
            admin.execute("DROP ROLE hosted")
