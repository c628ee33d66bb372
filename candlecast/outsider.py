"""`candlecast verify` for somebody who has files and no database: an export or a proof, and published seals."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from candlecast.errors import CandlecastError
from candlecast.proofs import Proof
from candlecast.seals import Seal


class BadChoice(CandlecastError):
    """Options that do not go together."""

    exit_code = 64


class NoSuchFile(CandlecastError):
    """A file that was named is not there."""

    exit_code = 66

    def __init__(self, path: Path) -> None:
        super().__init__(f"there is no file {path}; name an export, a proof or a seal that is there")
        self.path = path


class NoParquet(CandlecastError):
    """The package that reads Parquet is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "this export is a Parquet file, and pyarrow is not installed; run `pip install pyarrow`, or take the "
            "export as JSON lines"
        )


def verify_files(ledger: Path | None, proof: Path | None, roots: Sequence[Path]) -> tuple[str, dict[str, Any], bool]:
    """The closing sentence, its facts (`wrong` and `open` are sentences), and whether something is wrong.

    Raises
    ------
    BadChoice, NoSuchFile, NoParquet, BadSeal, BadLedgerFile, TwoSeals : nothing could be checked.
    """
    for path in (ledger, proof, *roots):
        if path is not None and not path.is_file():
            raise NoSuchFile(path)
    if ledger is not None and proof is not None:
        raise BadChoice("--ledger and --proof are two questions; ask one at a time")
    if proof is not None:
        return _verify_proof(proof, roots)
    if ledger is None:
        raise BadChoice("--root needs --ledger FILE or --proof FILE to be held against")
    return _verify_ledger(ledger, roots)


def _verify_proof(path: Path, roots: Sequence[Path]) -> tuple[str, dict[str, Any], bool]:
    if len(roots) != 1:
        raise BadChoice(f"a proof is checked against the seal of its day; give one --root, not {len(roots)}")
    proof = Proof.from_bytes(path.read_bytes(), str(path))
    seal = Seal.from_bytes(roots[0].read_bytes(), str(roots[0]))
    wrong = proof.check(seal)
    sentence = (
        f"The proof does NOT hold: {wrong[0]}."
        if wrong
        else f"The proof holds: {proof} was one of the {seal.n_rows} forecasts recorded on {seal.day}, just as it is."
    )
    facts = {"ok": not wrong, "day": seal.day, "index": proof.index, "n_rows": proof.n_rows, "wrong": wrong}
    return sentence, facts, bool(wrong)


def _verify_ledger(path: Path, roots: Sequence[Path]) -> tuple[str, dict[str, Any], bool]:
    from candlecast.audit import Published, audit, is_parquet

    if is_parquet(path) and find_spec("pyarrow") is None:
        raise NoParquet

    report = audit(path, [Published.read(root) for root in roots])
    counted = f"{report.n_rows} forecasts in {report.n_chains} chains, {report.seconds:.1f} s"
    if not roots:
        report.open.append("no --root was given, so a ledger that was written anew as a whole would not be noticed")
    elif report.n_sealed < report.n_rows:
        report.open.append(
            f"{report.n_rows - report.n_sealed} of {report.n_rows} forecasts are covered by none of the seals given; "
            "all that is known of them is whether their chain fits"
        )
    days = f"the roots of {len(report.days)} of {len(roots)} sealed days agree"
    sentence = (
        f"The export is whole: {counted}; {days}, {report.n_sealed} forecasts are as they were sealed."
        if report.ok
        else f"The export is NOT what was sealed ({counted}; {days}): {report.wrong[0]}."
    )
    facts = {
        "ok": report.ok,
        "n_rows": report.n_rows,
        "n_chains": report.n_chains,
        "n_sealed": report.n_sealed,
        "days": report.days,
        "wrong": report.wrong,
        "open": report.open,
        "seconds": report.seconds,
    }
    return sentence, facts, not report.ok
