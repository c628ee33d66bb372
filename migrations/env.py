"""What alembic runs: the migrations, on the connection that `candlecast.store.migrate` prepared."""

from alembic import context

from candlecast.store.tables import SCHEMA, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=SCHEMA,
    include_schemas=True,
)
context.run_migrations()
