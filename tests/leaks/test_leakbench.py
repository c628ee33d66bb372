"""The bench over the battery: every leak of its catalogue, planted in a copy of the tree, is found by the leak checks.

The clean tree is the rest of this folder: in a run of all tests it is asked once, here it is not asked again.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from candlecast.store.embedded import EmbeddedPostgres
from tools.leakbench.battery import FILES, FOLDER, judge
from tools.leakbench.catalogue import MUTANTS
from tools.leakbench.mutant import Edit, Mutant, StaleMutant
from tools.leakbench.tree import ROOT, Tree

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def tree() -> Iterator[Tree]:
    """A copy of the tree for this process."""
    folder = Path(tempfile.mkdtemp(prefix="leakbench-"))
    yield Tree(folder / "tree")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)
def test_the_battery_catches(mutant: Mutant, tree: Tree, postgres: EmbeddedPostgres) -> None:
    verdict = judge(tree, mutant, server=postgres.home)

    assert verdict.state == "caught", f"{mutant.leak}: {verdict.state} {verdict.check} {verdict.message}"


def test_no_leak_is_stale_and_each_says_where_it_was_seen() -> None:
    for one in MUTANTS:
        assert one.changed(ROOT), one.name
        assert len(one.seen) > 10, one.name
        assert one.first, one.name
        assert set(one.first) <= set(FILES), one.name
    assert max(Counter(one.name for one in MUTANTS).values()) == 1
    assert len(MUTANTS) >= 24


def test_every_file_of_checks_belongs_to_the_battery() -> None:
    checks = {path.name for path in HERE.glob("test_*.py")}

    assert checks - {Path(__file__).name} == set(FILES)
    assert HERE == ROOT / FOLDER


def test_a_leak_whose_text_is_gone_says_so() -> None:
    gone = Mutant("gone", "nothing", "nowhere", (Edit("README.md", "a text that nobody ever wrote", ""),), ())

    with pytest.raises(StaleMutant, match="0 times in README.md, not once; renew the mutant"):
        gone.changed(ROOT)


def test_a_tree_is_as_it_was_once_a_leak_is_out_of_it(tree: Tree) -> None:
    one = MUTANTS[0]
    files = {edit.file: (tree.folder / edit.file).read_bytes() for edit in one.edits}

    with tree.holding(one) as folder:
        assert all((folder / name).read_bytes() != before for name, before in files.items())

    assert all((tree.folder / name).read_bytes() == before for name, before in files.items())


def test_code_that_no_longer_runs_counts_as_broken_and_not_as_caught(tree: Tree, postgres: EmbeddedPostgres) -> None:
    """Otherwise any nonsense would prove the battery."""
    nonsense = Mutant(
        "nonsense",
        "none",
        "nowhere",
        (Edit("candlecast/clock.py", "def slot_at(", "raise ZeroDivisionError\n\n\ndef slot_at("),),
        ("test_time.py",),
    )

    assert judge(tree, nonsense, server=postgres.home).state == "broken"
