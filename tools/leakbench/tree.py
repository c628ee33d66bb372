"""A copy of the tree that one mutant after the other is put into and taken out of."""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.leakbench.mutant import Mutant

ROOT = Path(__file__).resolve().parents[2]
_ticks = itertools.count(1)


class Tree:
    """What git lists of the checkout at `ROOT`, and files that are new in it, copied to `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in _listed():
            source, target = ROOT / name, folder / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)

    @contextmanager
    def holding(self, mutant: Mutant | None) -> Iterator[Path]:
        """The copy with the mutant in it; without it again afterwards."""
        changed = mutant.changed(self.folder) if mutant is not None else {}
        originals = {name: (self.folder / name).read_bytes() for name in changed}
        times = {name: (self.folder / name).stat() for name in changed}
        try:
            for name, text in changed.items():
                (self.folder / name).write_text(text, encoding="utf-8")
                # Python tells a compiled file's age in whole seconds: no two versions of a source may share one.
                later = times[name].st_mtime + next(_ticks)
                os.utime(self.folder / name, (later, later))
            yield self.folder
        finally:
            for name, content in originals.items():
                (self.folder / name).write_bytes(content)
                os.utime(self.folder / name, ns=(times[name].st_atime_ns, times[name].st_mtime_ns))

    def environment(self) -> dict[str, str]:
        """This process's environment, with the copy before everything that is installed."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
        return {**kept, "PYTHONPATH": str(self.folder), "PYTHONSAFEPATH": "1", "CANDLECAST_PYTHON": sys.executable}


def _listed() -> list[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode == 0:
        return [name for name in done.stdout.split("\0") if name]
    # An export without git: everything but what is made here.
    skipped = {".venv", ".candlecast", "__pycache__", ".git", ".mypy_cache", ".ruff_cache", ".hypothesis"}
    return [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*")
        if path.is_file() and not skipped & set(path.relative_to(ROOT).parts)
    ]
