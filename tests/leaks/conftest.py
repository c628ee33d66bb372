"""What the leak checks share: one database with the whole world in it, that every check leaves as it was."""

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.engine import create_engine
from tests.conftest import drop_database, run_sql
from tests.leaks.world import World, fill


@pytest.fixture(scope="session")
def world() -> World:
    """What happened, with late arrivals and corrections."""
    return World.of()


@pytest.fixture(scope="session")
def quiet_world() -> World:
    """Another market, where every bar came in time and stayed as it was."""
    return World.of(4, quiet=True)


@pytest.fixture(scope="session")
def market(postgres: EmbeddedPostgres, template: str, world: World) -> Iterator[Engine]:
    """A database with all of the world, past and future; a check rolls back what it does to it."""
    yield from _filled(postgres, template, world)


@pytest.fixture(scope="session")
def quiet_market(postgres: EmbeddedPostgres, template: str, quiet_world: World) -> Iterator[Engine]:
    """The same of the quiet world."""
    yield from _filled(postgres, template, quiet_world)


def _filled(postgres: EmbeddedPostgres, template: str, world: World) -> Iterator[Engine]:
    name = f"leaks_{uuid.uuid4().hex}"
    run_sql(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    engine = create_engine(postgres.url(name), application_name="leaks")
    fill(engine, world)
    yield engine
    engine.dispose()
    drop_database(postgres, name)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """For the bench: what failed, and whether by a claim that did not hold or because the code broke."""
    outcome: Any = yield
    report, file = outcome.get_result(), os.environ.get("LEAKBENCH_REPORT")
    if file and report.failed and call.excinfo is not None:
        line = {
            "check": item.nodeid,
            "when": report.when,
            "error": call.excinfo.typename,
            "is_claim": call.excinfo.errisinstance((AssertionError, pytest.fail.Exception)),
            "message": call.excinfo.exconly().splitlines()[0][:300],
        }
        with Path(file).open("a") as out:
            out.write(json.dumps(line) + "\n")
