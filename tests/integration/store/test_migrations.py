"""Migrations: from nothing to head, back, twice, at once, and equal to what the code believes."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import make_url

from candlecast.store import migrate
from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.engine import create_engine
from candlecast.store.predictions import insert_predictions
from candlecast.store.tables import metadata

from .forecast_rows import add_instruments, forecast_row


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
