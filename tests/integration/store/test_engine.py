"""Engines: one address for every PostgreSQL, nothing a transaction pooler would break, no password in a message."""

import re
import socket
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from candlecast.store import sql
from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.engine import BadDatabaseUrl, DatabaseUnavailable, create_engine, database_url, normalised


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_spelling_of_the_address_means_the_same(scheme: str) -> None:
    assert normalised(f"{scheme}://me:p%40ss@db:6543/app?sslmode=require") == (
        "postgresql+psycopg://me:p%40ss@db:6543/app?sslmode=require"
    )


@pytest.mark.parametrize(
    "address", ["mysql://me:secret@db/app", "secret", "postgresql://me:secret@db", "postgres://me:secret@db:x/a"]
)
def test_what_is_no_address_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(BadDatabaseUrl, match="postgresql://user:password@host:5432/database") as refused:
        normalised(address)

    assert "secret" not in str(refused.value)


def test_a_given_address_is_used_and_no_server_started(tmp_path: Path) -> None:
    assert database_url({"DATABASE_URL": " postgres://me@db/app "}, tmp_path) == "postgresql+psycopg://me@db/app"
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_database_is_named_without_its_password() -> None:
    with socket.socket() as closed:  # bound, not listening: nobody answers here
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        engine = create_engine(f"postgresql://me:secret@127.0.0.1:{port}/app", application_name="test")

        with pytest.raises(DatabaseUnavailable, match=f"me@127.0.0.1:{port}/app cannot be reached") as failure:
            engine.connect()

    assert "secret" not in str(failure.value)
    assert failure.value.exit_code == 69


def test_a_wrong_password_is_named_without_repeating_it(postgres: EmbeddedPostgres) -> None:
    url = re.sub(r":[0-9a-f]{32}@", ":secret@", postgres.url("postgres"))

    with pytest.raises(DatabaseUnavailable, match="password authentication failed") as failure:
        create_engine(url, application_name="test").connect()

    assert "secret" not in str(failure.value)


def test_a_connection_that_broke_is_replaced_before_it_is_used(engine: Engine, postgres: EmbeddedPostgres) -> None:
    with engine.connect() as conn:
        pid = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
    admin = create_engine(postgres.url("postgres", "superuser"), application_name="test")
    with admin.connect() as conn:
        conn.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    admin.dispose()

    with engine.connect() as conn:
        assert conn.execute(text("SELECT pg_backend_pid()")).scalar_one() != pid


def test_a_connection_that_breaks_in_use_says_so_in_a_sentence(engine: Engine) -> None:
    with engine.connect() as conn, pytest.raises(DatabaseUnavailable, match="terminating connection"):
        conn.execute(text("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)"))


def test_nothing_is_prepared_on_the_server(engine: Engine) -> None:
    with engine.connect() as conn:
        for _ in range(10):
            conn.execute(text("SELECT :x"), {"x": 1})
        assert conn.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one() == 0


def test_the_name_of_the_application_is_shown_to_the_operator(engine: Engine) -> None:
    with engine.connect() as conn:
        assert conn.execute(text("SHOW application_name")).scalar_one() == "test"


def test_no_statement_of_ours_leaves_anything_on_a_pooled_connection() -> None:
    """A transaction pooler gives the connection to somebody else after the commit."""
    root = Path(__file__).parents[3]
    listed = subprocess.run(["git", "ls-files", "*.py", "*.sql"], cwd=root, capture_output=True, text=True, check=True)
    files = [root / name for name in listed.stdout.splitlines() if not name.startswith("tests/")]
    assert len(files) > 20
    lasting = re.compile(r"pg_(try_)?advisory_lock|\bLISTEN [a-z]|[\"']SET (?!LOCAL|TRANSACTION)[a-z_]+ (=|TO)")

    assert [f"{file.name}: {found[0]}" for file in files for found in lasting.finditer(file.read_text())] == []


def test_every_query_file_can_be_prepared_on_a_migrated_database(engine: Engine) -> None:
    """Names of tables and columns, types of parameters: all of it without running anything."""
    names = sorted(path.stem for path in (sql.FOLDER / "queries").glob("*.sql"))
    assert "predictions_insert" in names
    broken = {}
    for name in names:
        # COPY, CREATE and LOCK cannot be prepared, and no temporary table is there: other tests run these.
        if re.search(r"pg_temp\.|^CREATE |^COPY |^LOCK ", sql.read(f"queries/{name}"), flags=re.MULTILINE):
            continue
        statement = str(sql.load(name).compile(engine)).replace("%%", "%")
        order: dict[str, int] = {}
        for parameter in re.findall(r"%\((\w+)\)s(?:::\w+)?", statement):
            order.setdefault(parameter, len(order) + 1)
        for parameter, place in order.items():
            statement = re.sub(rf"%\({parameter}\)s", f"${place}", statement)
        with engine.connect() as conn:
            try:
                conn.exec_driver_sql(
                    f"PREPARE probe AS {statement.strip().rstrip(';')}", execution_options={"no_parameters": True}
                )
            except Exception as error:
                broken[name] = str(error).splitlines()[0]
            conn.rollback()
            conn.exec_driver_sql("DEALLOCATE ALL")

    assert broken == {}
