"""A real PostgreSQL for the tests: one server per test process, one fresh migrated database per test.

`CANDLECAST_TEST_PROGRAMS` names another PostgreSQL's `bin` folder, e.g. /usr/lib/postgresql/15/bin.
`CANDLECAST_TEST_SERVER` names the home of an embedded server that runs already and is to be used and left running.
"""

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import settings
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from candlecast.store import migrate
from candlecast.store.embedded import EmbeddedPostgres, Role
from candlecast.store.engine import create_engine
from candlecast.store.postgres_binaries import EmbeddedUnavailable
from tests.tiny_chronos2 import save_tiny_chronos2

# How long an example takes is the machine's business; a test claims what comes out.
# On a developer's machine every run tries other examples; in CI a change is judged by the same ones as the last.
settings.register_profile("candlecast", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "candlecast")

# Nothing of a test has to survive a power cut.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
PREFIX = "candlecast-test-"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below tests/integration is an integration test, by its place."""
    for item in items:
        if "integration" in item.path.parts:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A running server, gone after the session."""
    if shared := os.environ.get("CANDLECAST_TEST_SERVER"):
        yield EmbeddedPostgres(Path(shared))
        return
    clear_leftovers()
    home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    home.chmod(0o755)  # the unprivileged user that runs the server for root has to get in
    programs = os.environ.get("CANDLECAST_TEST_PROGRAMS")
    server = EmbeddedPostgres(home, settings=FAST, programs=Path(programs) if programs else None)
    try:
        yield server.ensure()
    finally:
        server.stop()
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Name of a migrated database that others are copied from."""
    name = f"migrated_template_{os.getpid()}"
    run_sql(postgres, f"CREATE DATABASE {name}")
    migrate.upgrade(postgres.url(name))
    yield name
    drop_database(postgres, name)


@pytest.fixture
def empty_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Name of an empty database, not migrated."""
    name = f"test_{uuid.uuid4().hex}"
    run_sql(postgres, f"CREATE DATABASE {name}")
    yield name
    drop_database(postgres, name)


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """The owner's address of a fresh migrated database."""
    name = f"test_{uuid.uuid4().hex}"
    run_sql(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield postgres.url(name)
    drop_database(postgres, name)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The owner's engine on a fresh migrated database."""
    engine = create_engine(database_url, application_name="test")
    yield engine
    engine.dispose()


@pytest.fixture
def engine_as(postgres: EmbeddedPostgres, database_url: str) -> Iterator[Callable[[Role], Engine]]:
    """Engines of other roles on the same fresh database: `engine_as("reader")`."""
    dbname = make_url(database_url).database
    assert dbname is not None
    engines: list[Engine] = []

    def make(role: Role) -> Engine:
        engines.append(create_engine(postgres.url(dbname, role), application_name=f"test-{role}"))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()


@pytest.fixture(scope="session")
def tiny_chronos2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Chronos-2 of random weights."""
    return save_tiny_chronos2(tmp_path_factory.mktemp("tiny-chronos2"))


def run_sql(postgres: EmbeddedPostgres, statement: str, role: Role = "owner") -> None:
    """Run a statement that refuses to be in a transaction."""
    url = postgres.url("postgres", role)
    engine = create_engine(url, application_name="test-admin", isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as conn:
            conn.exec_driver_sql(statement)
    finally:
        engine.dispose()


def drop_database(postgres: EmbeddedPostgres, name: str) -> None:
    """By force: also from under the server's own workers, which only a superuser may end."""
    run_sql(postgres, f"DROP DATABASE {name} WITH (FORCE)", "superuser")


def clear_leftovers() -> None:
    """End the servers of earlier test processes that were killed before they could clean up."""
    for home in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        pid = home.name.removeprefix(PREFIX).split("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)) and home.stat().st_uid == os.geteuid():
            with contextlib.suppress(EmbeddedUnavailable, OSError):  # another test process may be clearing it too
                EmbeddedPostgres(home).stop()
            shutil.rmtree(home, ignore_errors=True)
