"""Who may do what, asked of the catalogue and tried out."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from candlecast.store.embedded import EmbeddedPostgres, Role
from candlecast.store.engine import create_engine
from candlecast.store.predictions import insert_predictions

from .forecast_rows import add_instruments, forecast_row

Engines = Callable[[Role], Engine]


def names(conn: Connection, query: str) -> list[str]:
    return list(conn.execute(text(query)).scalars())


@pytest.fixture
def stranger(postgres: EmbeddedPostgres, database_url: str) -> Iterator[Connection]:
    """A connection that acts as the role `anon`, which hosted databases give to everybody."""
    dbname = database_url.rsplit("/", 1)[1]
    engine = create_engine(postgres.url(dbname, "superuser"), application_name="test")
    with engine.connect() as conn:
        conn.execute(text("CREATE ROLE anon"))
        conn.execute(text("SET LOCAL ROLE anon"))
        yield conn
        conn.rollback()
    engine.dispose()


def test_every_table_has_row_security(engine: Engine) -> None:
    query = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'candlecast'::regnamespace "
        "AND relkind IN ('r', 'p') AND NOT relrowsecurity"
    )
    with engine.connect() as conn:
        assert names(conn, query) == []


def test_nothing_is_granted_to_public(engine: Engine) -> None:
    queries = {
        "schema": "SELECT nspname FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) AS acl "
        "WHERE nspname = 'candlecast' AND grantee = 0",
        "relations": "SELECT relname FROM pg_class, aclexplode(coalesce(relacl, acldefault("
        "CASE relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r'::\"char\" END, relowner))) AS acl "
        "WHERE relnamespace = 'candlecast'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S') AND grantee = 0",
        "functions": "SELECT proname FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) AS acl "
        "WHERE pronamespace = 'candlecast'::regnamespace AND grantee = 0",
    }
    with engine.connect() as conn:
        assert {kind: names(conn, query) for kind, query in queries.items()} == {
            "schema": [],
            "relations": [],
            "functions": [],
        }


def test_only_our_roles_hold_any_grant(engine: Engine) -> None:
    query = (
        "SELECT DISTINCT grantee::regrole::text FROM pg_class, aclexplode(relacl) "
        "WHERE relnamespace = 'candlecast'::regnamespace ORDER BY 1"
    )
    with engine.connect() as conn:
        assert names(conn, query) == ["candlecast_owner", "candlecast_reader", "candlecast_writer"]


def test_every_object_belongs_to_the_owner_role(engine: Engine) -> None:
    query = (
        "SELECT relname || ' of ' || relowner::regrole FROM pg_class "
        "WHERE relnamespace = 'candlecast'::regnamespace AND relowner <> 'candlecast_owner'::regrole UNION ALL "
        "SELECT proname || ' of ' || proowner::regrole FROM pg_proc "
        "WHERE pronamespace = 'candlecast'::regnamespace AND proowner <> 'candlecast_owner'::regrole"
    )
    with engine.connect() as conn:
        assert names(conn, query) == []


def test_every_function_fixes_its_search_path(engine: Engine) -> None:
    query = (
        "SELECT proname FROM pg_proc WHERE pronamespace = 'candlecast'::regnamespace AND prosecdef "
        "AND NOT coalesce(proconfig::text LIKE '%search_path%', false)"
    )
    with engine.connect() as conn:
        assert names(conn, query) == []


def test_the_logins_of_reader_and_writer_have_timeouts(engine: Engine) -> None:
    query = (
        "SELECT rolname FROM pg_roles WHERE rolname IN ('candlecast_reader_login', 'candlecast_writer_login') "
        "AND rolconfig::text LIKE '%statement_timeout%' AND rolconfig::text LIKE '%lock_timeout%' ORDER BY 1"
    )
    with engine.connect() as conn:
        assert names(conn, query) == ["candlecast_reader_login", "candlecast_writer_login"]


@pytest.mark.parametrize("table", ["instruments", "ml_predictions", "ledger_heads", "signal_performance"])
def test_a_stranger_sees_permission_denied(stranger: Connection, table: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        stranger.execute(text(f"SELECT * FROM candlecast.{table}"))


def test_default_grants_of_a_hosted_database_are_taken_back(postgres: EmbeddedPostgres, database_url: str) -> None:
    engine = create_engine(postgres.url(database_url.rsplit("/", 1)[1], "superuser"), application_name="test")
    with engine.connect() as conn:
        conn.execute(text("CREATE ROLE authenticated"))
        conn.execute(text("ALTER DEFAULT PRIVILEGES FOR ROLE candlecast_owner GRANT ALL ON TABLES TO authenticated"))
        conn.execute(text("SET LOCAL ROLE candlecast_owner"))
        conn.execute(text("CREATE TABLE candlecast.later (x int)"))
        assert conn.execute(text("SELECT has_table_privilege('authenticated', 'candlecast.later', 'SELECT')")).scalar()

        conn.execute(text("SELECT candlecast.protect_table('later', '{INSERT}')"))

        for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"):
            query = text("SELECT has_table_privilege('authenticated', 'candlecast.later', :privilege)")
            assert not conn.execute(query, {"privilege": privilege}).scalar()
        conn.rollback()
    engine.dispose()


def test_the_reader_reads_every_table_and_writes_none(engine: Engine, engine_as: Engines) -> None:
    query = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'candlecast'::regnamespace AND relkind IN ('r', 'p') "
        "AND NOT relispartition ORDER BY 1"
    )
    with engine.connect() as conn:
        tables = names(conn, query)
    assert len(tables) > 12
    with engine_as("reader").connect() as reader:
        for table in tables:
            reader.execute(text(f"SELECT FROM candlecast.{table} LIMIT 1"))
            reader.rollback()
            for statement in (f"INSERT INTO candlecast.{table} DEFAULT VALUES", f"DELETE FROM candlecast.{table}"):
                with pytest.raises(ProgrammingError, match="permission denied"):
                    reader.execute(text(statement))
                reader.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE candlecast.mine (x int)",
        "DROP TABLE candlecast.score_pending",
        "ALTER TABLE candlecast.ml_predictions DISABLE TRIGGER ALL",
        "DROP TRIGGER append_only ON candlecast.ml_predictions",
        "UPDATE candlecast.ml_predictions SET scale = 2",
        "DELETE FROM candlecast.ml_predictions",
        "TRUNCATE candlecast.ml_predictions CASCADE",
        "UPDATE candlecast.ledger_heads SET chain_seq = 0",
        "DELETE FROM candlecast.ledger_heads",
        "INSERT INTO candlecast.ledger_heads VALUES ('m', '1h', 1, '', now())",
        "UPDATE candlecast.economic_calendar SET actual = 1",
        "UPDATE candlecast.prediction_paths SET closes = ''",
        "SELECT candlecast.protect_table('instruments', '{}')",
    ],
)
def test_the_writer_may_neither_define_nor_rewrite(engine_as: Engines, statement: str) -> None:
    with (
        engine_as("writer").begin() as writer,
        pytest.raises(ProgrammingError, match="permission denied|must be owner"),
    ):
        writer.execute(text(statement))


def test_the_writer_appends_forecasts_and_the_reader_sees_them(engine_as: Engines) -> None:
    with engine_as("writer").begin() as writer:
        add_instruments(writer, "BTCUSDT")
        assert insert_predictions(writer, [forecast_row(n_paths=2)], scored_steps=(1,), fence=None) == 1

    with engine_as("reader").connect() as reader:
        counts = "SELECT (SELECT count(*) FROM candlecast.ml_predictions), count(*) FROM candlecast.prediction_paths"
        assert reader.execute(text(counts)).one() == (1, 1)
