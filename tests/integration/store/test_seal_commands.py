"""Export, seal, proof and verify as an operator and as an outsider meet them: files, last lines, exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from candlecast.store.embedded import EmbeddedPostgres

from .sealed_ledger import DAYS, N_ROWS, OTHER, SealedLedger, sealed_ledger

ROOT = Path(__file__).resolve().parents[3]
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture(scope="module")
def ledger(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SealedLedger]:
    with sealed_ledger(postgres, template, tmp_path_factory.mktemp("ledger")) as made:
        yield made


def run(program: list[object], home: Path, url: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "CANDLECAST_HOME": str(home), "DATABASE_URL": url, "COLUMNS": "100"}
    return subprocess.run(
        [str(one) for one in program], capture_output=True, text=True, env=env, timeout=120, check=False, cwd=ROOT
    )


def url_of(ledger: SealedLedger, role: str) -> str:
    return ledger.engine_as(role).url.render_as_string(hide_password=False)  # type: ignore[arg-type]


def candlecast(*arguments: object, home: Path, url: str = NOWHERE) -> subprocess.CompletedProcess[str]:
    return run([Path(sys.executable).with_name("candlecast"), *arguments], home, url)


def test_an_outsider_checks_the_export_and_a_proof_without_any_database(ledger: SealedLedger, tmp_path: Path) -> None:
    url, out, seals = url_of(ledger, "reader"), tmp_path / "ledger.parquet", ledger.folder / "seals"
    done = candlecast("export", "--out", out, home=tmp_path, url=url)
    assert done.returncode == 0, done.stderr
    assert f"{out} holds 12 forecasts of 2 chains" in done.stdout

    sealed = candlecast("seal", "--day", DAYS[2], "--out", seals, home=tmp_path, url=url)
    assert sealed.returncode == 0, sealed.stderr
    assert f"{DAYS[2]} stands as it was sealed: 2 forecasts, 2 chains, root " in sealed.stdout

    with ledger.engine_as("reader").connect() as conn:
        named = conn.execute(
            text("SELECT prediction_id FROM candlecast.ml_predictions WHERE chain_seq = 7")
        ).scalar_one()
    proof = candlecast("proof", named, "--out", tmp_path / "proof.json", home=tmp_path, url=url)
    assert proof.returncode == 0, proof.stderr
    assert f"--root {DAYS[1]}.json" in proof.stdout

    roots = [argument for day in DAYS for argument in ("--root", seals / f"{day}.json")]
    checked = candlecast("verify", "--ledger", out, *roots, home=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "The export is whole: 12 forecasts in 2 chains" in checked.stdout
    assert "the roots of 3 of 3 sealed days agree, 12 forecasts are as they were sealed." in checked.stdout
    held = candlecast("verify", "--proof", tmp_path / "proof.json", "--root", seals / f"{DAYS[1]}.json", home=tmp_path)
    assert held.returncode == 0, held.stdout + held.stderr
    assert "row 7 of its chain was one of the 4 forecasts recorded on 2025-03-02, just as it is" in held.stdout
    assert not (tmp_path / "postgres").exists()


def test_what_is_wrong_is_said_and_the_exit_code_is_1(ledger: SealedLedger, tmp_path: Path) -> None:
    out, seals = tmp_path / "ledger.parquet", ledger.folder / "seals"
    done = candlecast("export", "--out", out, "--json", home=tmp_path, url=url_of(ledger, "reader"))
    assert json.loads(done.stdout)["n_rows"] == N_ROWS
    table = pq.read_table(out)
    pq.write_table(table.slice(0, N_ROWS - 1), out)

    checked = candlecast("verify", "--ledger", out, "--root", seals / f"{DAYS[2]}.json", "--json", home=tmp_path)

    assert checked.returncode == 1
    facts = json.loads(checked.stdout)
    assert not facts["ok"]
    assert "names row 9, but the file ends at row 8" in facts["wrong"][0]
    told = candlecast("verify", "--ledger", out, "--root", seals / f"{DAYS[2]}.json", home=tmp_path)
    assert told.stdout.splitlines()[-1].startswith("The export is NOT what was sealed (11 forecasts in 2 chains")
    assert told.returncode == 1


def test_without_a_published_root_it_says_what_it_cannot_know(ledger: SealedLedger, tmp_path: Path) -> None:
    out = tmp_path / "ledger.parquet"
    done = candlecast(
        "export", "--out", out, "--model", OTHER, "--from", "2025-03-02", home=tmp_path, url=url_of(ledger, "reader")
    )
    assert "holds 1 forecasts of 1 chains" in done.stdout

    checked = candlecast("verify", "--ledger", out, home=tmp_path)

    assert checked.returncode == 0
    assert "not checked: no --root was given" in checked.stdout
    assert f"not checked: chain {OTHER} 1h begins at row 3" in checked.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["verify", "--ledger", "nothing.parquet"], 66, "there is no file nothing.parquet"),
        (["verify", "--root", "pyproject.toml"], 64, "--root needs --ledger FILE or --proof FILE"),
        (["verify", "--proof", "pyproject.toml"], 64, "give one --root, not 0"),
        (["verify", "--proof", "a", "--model", "b"], 64, "leave them out with files"),
        (["verify", "--ledger", "pyproject.toml"], 1, "pyproject.toml is no export of the ledger"),
        (["verify", "--proof", "pyproject.toml", "--root", "pyproject.toml"], 1, "is no proof of a forecast"),
        (["proof", "12", "--out", "x.json"], 64, "'12' is no id of a forecast"),
        (["seal", "--day", "yesterday"], 64, "--day is 'yesterday'; write a moment"),
        (["export", "--out", "x", "--from", "then"], 64, "--from is 'then'; write a moment"),
    ],
)
def test_a_wrong_option_ends_in_one_sentence(arguments: list[str], code: int, sentence: str, tmp_path: Path) -> None:
    done = candlecast(*arguments, home=tmp_path)

    assert sentence in done.stderr
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1


def test_the_job_seals_yesterday_keeps_its_run_and_may_be_repeated(ledger: SealedLedger, tmp_path: Path) -> None:
    url = url_of(ledger, "writer")
    job = [sys.executable, "-m", "jobs", "seal-ledger"]

    first, second = run(job, tmp_path, url), run(job, tmp_path, url)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert " sealed: 0 forecasts, 2 chains, root e3b0c442" in first.stdout
    assert " stands as it was sealed: 0 forecasts" in second.stdout
    assert len(list((tmp_path / "seals").glob("*.json"))) == 1
    with ledger.engine_as("reader").connect() as conn:
        runs = conn.execute(text("SELECT status FROM candlecast.job_runs WHERE job = 'seal-ledger'")).scalars().all()
    assert runs == ["ok", "ok"]
