"""`python -m tools.leakbench`: put each leak into a copy of the tree and see whether the leak checks find it."""

import argparse
import json
import queue
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from candlecast.store.embedded import EmbeddedPostgres
from tools.leakbench.battery import Verdict, judge
from tools.leakbench.catalogue import MUTANTS
from tools.leakbench.mutant import Mutant, StaleMutant
from tools.leakbench.tree import ROOT, Tree

FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.leakbench", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="only mutants with this in their name")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of lines")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="mutants at a time (2)")
    parser.add_argument("--list", action="store_true", help="print the mutants and what they are, and stop")
    parser.add_argument("--no-clean", action="store_true", help="leave out the clean tree")
    asked = parser.parse_args()
    chosen = [one for one in MUTANTS if not asked.only or any(part in one.name for part in asked.only)]
    if asked.list:
        for one in chosen:
            print(f"{one.name}\n    {one.leak}\n    seen: {one.seen}")
        return 0
    if not chosen:
        print("no mutant has such a name; --list names them", file=sys.stderr)
        return 64

    started = time.monotonic()
    verdicts = run([*chosen, *([] if asked.no_clean or asked.only else [None])], asked.jobs, quiet=asked.json)
    clean = [one for one in verdicts if one.name == "clean tree"]
    of_mutants = [one for one in verdicts if one.name != "clean tree"]
    n_caught = sum(one.state == "caught" for one in of_mutants)
    alarms = [one for one in clean if one.state != "missed"]
    facts = {
        "n_mutants": len(of_mutants),
        "n_caught": n_caught,
        "n_false_alarms": len(alarms),
        "seconds": round(time.monotonic() - started, 1),
    }
    if asked.json:
        print(json.dumps(facts | {"verdicts": [asdict(one) for one in verdicts]}, indent=1))
    else:
        told = "the clean tree was not asked" if not clean else f"{len(alarms)} false alarms on the clean tree"
        print(f"{n_caught} of {len(of_mutants)} leaks caught, {told}, {facts['seconds']} s")
    return 0 if n_caught == len(of_mutants) and not alarms else 1


def run(mutants: list[Mutant | None], jobs: int, *, quiet: bool) -> list[Verdict]:
    """The verdicts, in the order of `mutants`; None stands for the clean tree."""
    for one in mutants:
        if one is not None:
            one.changed(ROOT)  # a stale mutant is told before anything is started
    home = Path(tempfile.mkdtemp(prefix="leakbench-"))
    home.chmod(0o755)  # the unprivileged user that runs the server for root has to get in
    server = EmbeddedPostgres(home / "postgres", settings=FAST).ensure()
    trees: queue.SimpleQueue[Tree] = queue.SimpleQueue()
    try:
        for number in range(jobs):
            trees.put(Tree(home / f"tree-{number}"))

        def one_of(mutant: Mutant | None) -> Verdict:
            tree = trees.get()
            try:
                return judge(tree, mutant, server=server.home)
            finally:
                trees.put(tree)

        with ThreadPoolExecutor(jobs) as pool:
            # The clean tree takes longest, so it starts first.
            order = sorted(range(len(mutants)), key=lambda place: mutants[place] is not None)
            futures = {pool.submit(one_of, mutants[place]): place for place in order}
            found: dict[int, Verdict] = {}
            for future in as_completed(futures):
                verdict = found[futures[future]] = future.result()
                if not quiet:
                    state = {"missed": "nothing to find"}.get(verdict.state, "FALSE ALARM")
                    state = state if verdict.name == "clean tree" else verdict.state.upper().replace("CAUGHT", "caught")
                    print(f"{state:15} {verdict.seconds:5.1f} s  {verdict.name}", flush=True)
                    if verdict.check or verdict.message:
                        print(f"{'':25}{verdict.check}: {verdict.message}"[:220], flush=True)
        return [found[place] for place in range(len(mutants))]
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StaleMutant as error:
        print(error, file=sys.stderr)
        sys.exit(65)
