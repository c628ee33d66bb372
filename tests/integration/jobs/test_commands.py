"""The command line as a person meets it: last lines, exit codes, sentences."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from candlecast.clock import SCHEDULES
from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.instruments import read_instruments
from tests.small_market import SLOT, Market

ROOT = Path(__file__).resolve().parents[3]


def candlecast(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("candlecast"), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "100", **environment},
        timeout=120,
        check=False,
    )


def test_help_names_every_command_of_the_readme() -> None:
    said = candlecast("--help").stdout

    for command in ("demo", "db", "ingest", "predict", "score", "replay", "serve", "schedule", "doctor", "verify"):
        assert f"│ {command} " in said, command
    assert "upgrade" in candlecast("db", "--help").stdout
    assert "files" in candlecast("ingest", "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["predict", "--interval", "2h"], "--interval is '2h'; it has to be one of 1h, 1d"),
        (["predict", "--as-of", "yesterday"], "--as-of is 'yesterday'; write a moment such as 2025-06-01"),
        (["ingest", "files", "/nowhere"], "/nowhere is no folder; name one that holds ohlcv_1h/ and ohlcv_1d/"),
    ],
)
def test_a_wrong_option_ends_in_one_sentence(arguments: list[str], sentence: str) -> None:
    done = candlecast(*arguments)

    assert done.returncode == 64
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_database_that_is_not_there_is_named_without_its_password() -> None:
    done = candlecast("verify", DATABASE_URL="postgresql://reader:canary@127.0.0.1:1/candlecast")

    assert done.returncode == 69
    assert "reader@127.0.0.1:1/candlecast cannot be reached" in done.stderr
    assert "canary" not in done.stderr + done.stdout


@pytest.mark.parametrize("command", ["predict", "score", "verify", "replay --from 2025-06-01"])
def test_a_database_without_the_schema_is_answered_with_the_command_that_makes_it(
    postgres: EmbeddedPostgres, empty_database: str, command: str
) -> None:
    done = candlecast(*command.split(), DATABASE_URL=postgres.url(empty_database))

    assert done.returncode == 78
    assert "run `candlecast db upgrade`" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_verifying_a_chain_that_does_not_exist_is_no_success(market: Market, database_url: str) -> None:
    done = candlecast("verify", "--model", "kronos-bsae", DATABASE_URL=database_url)

    assert done.returncode == 64
    assert "the ledger has no chain kronos-bsae" in done.stderr


def test_a_bad_setting_is_named_before_anything_is_touched() -> None:
    done = candlecast("predict", HORIZON="soon", DATABASE_URL="postgresql://u@127.0.0.1:1/d")

    assert done.returncode == 78
    assert "HORIZON is 'soon', but it has to be a whole number from 1 to 1024" in done.stderr


def test_the_schedule_is_listed_with_what_comes_next() -> None:
    done = candlecast("schedule", "--list", "--json")

    facts = json.loads(done.stdout)
    assert facts["schedules"] == SCHEDULES
    assert set(facts["next"]) == set(SCHEDULES)


def test_a_job_that_does_not_exist_is_answered_with_those_that_do() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobs", "kronos-batch-2h"], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert done.returncode == 64
    assert "there is no job 'kronos-batch-2h'; `python -m jobs NAME` takes one of: ingest-1h" in done.stderr


def test_predict_score_replay_and_verify_work_on_one_store(market: Market, database_url: str) -> None:
    env = {
        "DATABASE_URL": database_url,
        "HORIZON": "24",
        "LOOKBACK": "200",
        "N_PATHS": "20",
        "BASELINES": "rw",
        "INFERENCE_URL": "http://127.0.0.1:1",
    }
    as_of = SLOT.isoformat()

    predicted = candlecast("predict", "--model", "baseline-rw", "--as-of", as_of, "--json", **env)
    assert predicted.returncode == 0, predicted.stderr
    assert json.loads(predicted.stdout)["n_written"] == 5

    walked = candlecast(
        "replay",
        "--model",
        "baseline-rw",
        "--from",
        "2025-05-28",
        "--to",
        "2025-05-30",
        "--every",
        "9",
        "--json",
        **env,
    )
    assert walked.returncode == 0, walked.stderr
    facts = json.loads(walked.stdout)
    # 2025-05-28T00:55, 09:55, 18:55, … to 2025-05-29T21:55: 47 or 48 hourly slots, each ninth
    assert facts["n_slots"] == 6
    assert facts["n_written"] > 0

    scored = candlecast("score", "--as-of", "2025-06-13", "--json", **env)
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["n_scored"] > 3 * 5

    verified = candlecast("verify", **env)
    assert verified.returncode == 0, verified.stdout
    assert f"The ledger is whole: {5 + facts['n_written']} forecasts in 1 chains" in verified.stdout


def test_an_instruments_file_of_ones_own_is_loaded_by_the_upgrade(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    shipped = (ROOT / "candlecast" / "instruments.toml").read_text()
    own = tmp_path / "instruments.toml"
    own.write_text(shipped.replace('name = "Bitcoin"', 'name = "Bitcoin, by another name"'))

    done = candlecast("db", "upgrade", "--json", DATABASE_URL=database_url, INSTRUMENTS_FILE=str(own))

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n_instruments"] == 30
    with engine.connect() as conn:
        named = {one.symbol: one.name for one in read_instruments(conn)}
    assert named["BTCUSDT"] == "Bitcoin, by another name"
    assert named["ETHUSDT"] == "Ether"


def test_a_moment_in_the_future_is_refused(market: Market, database_url: str) -> None:
    done = candlecast("predict", "--as-of", "2999-01-01", DATABASE_URL=database_url)

    assert done.returncode == 1
    assert "lies after the clock" in done.stderr
