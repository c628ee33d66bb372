"""`kill -9` at any moment of a scoring run: nothing is lost, nothing is counted twice."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from sqlalchemy import Engine

from jobs.score import score
from tests.integration.scores.ledger import assert_sums_are_right
from tests.integration.scores.market import add_bars, add_instruments, at, forecast, issue, random_walk, rows_of

SCORE = """
import sys
from datetime import datetime
from candlecast.store.engine import create_engine
from jobs.score import score
engine = create_engine(sys.argv[1], application_name="killed")
score(engine, "1h", as_of=datetime.fromisoformat(sys.argv[2]), pairs_per_chunk=2,
      progress=lambda n: print(n, flush=True))
"""


@pytest.mark.slow
def test_a_run_that_is_killed_is_finished_by_the_next_one(engine: Engine, database_url: str) -> None:
    add_instruments(engine)
    add_bars(engine, random_walk(20, 140))
    issue(engine, [forecast(hour, model_name=name) for hour in range(130) for name in ("baseline-rw", "kronos")])
    rng = np.random.default_rng(0)
    n_before = 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", SCORE, database_url, at(140).isoformat()], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()  # at work
        time.sleep(rng.uniform(0.0, 0.5))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        n_scored = rows_of(engine, "SELECT count(*) AS n FROM candlecast.prediction_scores")[0]["n"]
        assert n_scored > n_before
        assert n_scored + rows_of(engine, "SELECT count(*) AS n FROM candlecast.score_pending")[0]["n"] == 520
        assert_sums_are_right(engine)
        n_before = n_scored

    score(engine, "1h", as_of=at(140))

    assert rows_of(engine, "SELECT count(*) AS n FROM candlecast.prediction_scores") == [{"n": 520}]
    assert_sums_are_right(engine)
