"""The SQL files, by name: one statement per file, in `sql/` of the checkout or inside an installed package."""

from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, TextClause, text

from candlecast.errors import CandlecastError

PACKAGED: Final = Path(__file__).parents[1] / "_sql"  # where a wheel puts `sql/`
FOLDER: Final = PACKAGED if PACKAGED.is_dir() else Path(__file__).parents[2] / "sql"


class NoSuchQuery(CandlecastError):
    """A SQL file that is asked for is not there: a broken installation, or a wrong name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no {FOLDER / name}.sql; reinstall candlecast, or correct the name")
        self.name = name


@cache
def read(name: str) -> str:
    """The text of `sql/<name>.sql`, e.g. `views/signal_performance`."""
    try:
        return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NoSuchQuery(name) from None


@cache
def load(name: str) -> TextClause:
    """The statement of `sql/queries/<name>.sql`, with its `:parameters`."""
    return text(read(f"queries/{name}"))


def run_file(connection: Connection, name: str) -> None:
    """Run `sql/<name>.sql` as it stands: for definitions, where `:` and `%` mean what PostgreSQL means by them."""
    connection.exec_driver_sql(read(name), execution_options={"no_parameters": True})
