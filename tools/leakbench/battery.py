"""The leak checks of tests/leaks, run in a process of their own against one copy of the tree."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tools.leakbench.mutant import Mutant
from tools.leakbench.tree import Tree

# Cheap ones first; the last two load torch.
FILES: Final = (
    "test_time.py",
    "test_encoding.py",
    "test_archives.py",
    "test_forecasters.py",
    "test_reading.py",
    "test_calibration.py",
    "test_records.py",
    "test_scores.py",
    "test_training.py",
    "test_models.py",
)
FOLDER: Final = "tests/leaks"
TIMEOUT_S: Final = 600

State = Literal["caught", "missed", "broken"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the battery said of one tree.

    state : caught, by a claim that did not hold; missed, all claims held; broken, the code no longer ran, which proves
        nothing
    check : the first claim that failed, or where it broke; message : how
    """

    name: str
    state: State
    check: str
    message: str
    seconds: float


def judge(tree: Tree, mutant: Mutant | None, *, server: Path | None = None) -> Verdict:
    """Run the battery on the tree with the mutant in it until a claim fails.

    `server` is the home of an embedded PostgreSQL that runs; without it every process starts one of its own.
    """
    name, started = (mutant.name if mutant else "clean tree"), time.monotonic()
    with tree.holding(mutant) as folder:
        there = [file for file in FILES if (folder / FOLDER / file).is_file()]
        first = [file for file in there if mutant is not None and file in mutant.first]
        rest = [file for file in there if file not in first]
        for files in (first, rest):
            failures, tail = _run(tree, files, server) if files else ([], "")
            if failures or tail:
                claims = [one for one in failures if one["is_claim"] and one["when"] == "call"]
                one = (claims or failures or [{"check": "", "message": tail}])[0]
                state: State = "caught" if claims else "broken"
                check = str(one["check"]).removeprefix(f"{FOLDER}/")
                return Verdict(name, state, check, str(one["message"]), time.monotonic() - started)
    return Verdict(name, "missed", "", "", time.monotonic() - started)


def _run(tree: Tree, files: list[str], server: Path | None) -> tuple[list[dict[str, object]], str]:
    """(what failed, the end of the output if the run did not end as a run of tests does)."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.jsonl"
        environment = tree.environment() | {"LEAKBENCH_REPORT": str(report), "CI": "1"}
        if server is not None:
            environment["CANDLECAST_TEST_SERVER"] = str(server)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
        command += [f"{FOLDER}/{file}" for file in files]
        try:
            done = subprocess.run(
                command,
                check=False,
                cwd=tree.folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            return [], f"it did not end within {TIMEOUT_S} s"
        failures = [json.loads(line) for line in report.read_text().splitlines()] if report.is_file() else []
        ended = done.returncode == 0 or failures
        return failures, "" if ended else done.stdout.strip()[-600:] or f"exit code {done.returncode}"


def server_home() -> Path | None:
    """The home of the server that this process's tests use, where one is named."""
    named = os.environ.get("CANDLECAST_TEST_SERVER")
    return Path(named) if named else None
