"""A leak that really happened, as a small edit of our own source."""

from dataclasses import dataclass
from pathlib import Path


class StaleMutant(Exception):
    """The text that a mutant replaces is not in its file, or is there more than once: the mutant has to be renewed."""


@dataclass(frozen=True, slots=True)
class Edit:
    """`old` is in `file` exactly once, or with `everywhere` at least once; `new` takes its place."""

    file: str
    old: str
    new: str
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Mutant:
    """One leak.

    name : its name, for `--only` and reports
    leak : what the code then knows that it must not
    seen : where it really happened: repository and issue or pull request, or the passage that describes it
    edits : what is changed
    first : the test files of the battery to run first; the others follow if these do not catch it
    """

    name: str
    leak: str
    seen: str
    edits: tuple[Edit, ...]
    first: tuple[str, ...]

    def changed(self, root: Path) -> dict[str, str]:
        """The new text of each file that the mutant changes, from the tree at `root`.

        Raises
        ------
        StaleMutant : an old text is not there exactly once.
        """
        texts: dict[str, str] = {}
        for edit in self.edits:
            path = root / edit.file
            if edit.file not in texts and not path.is_file():
                raise StaleMutant(f"{self.name}: there is no file {edit.file} any more; renew the mutant")
            text = texts.get(edit.file) or path.read_text(encoding="utf-8")
            n_found = text.count(edit.old)
            if n_found == 0 or (n_found > 1 and not edit.everywhere):
                raise StaleMutant(
                    f"{self.name}: the text to replace is {n_found} times in {edit.file}, not once; renew the mutant:"
                    f"\n{edit.old}"
                )
            texts[edit.file] = text.replace(edit.old, edit.new)
        return texts
