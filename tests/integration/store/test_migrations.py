"""Migrations: from nothing to head, back, twice, at once, and equal to what the code believes."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine

from candlecast.store import migrate
from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.tables import metadata


def test_an_empty_database_is_brought_to_head(postgres: EmbeddedPostgres, empty_database: str) -> None:
    assert migrate.upgrade(postgres.url(empty_database)) == migrate.head()


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
