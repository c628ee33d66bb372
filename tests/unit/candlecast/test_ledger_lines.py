"""Lines and columns are the same thing said twice, whatever stands in them."""

import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from hypothesis import given, settings

from candlecast.ledger_lines import LinesReader, last_line, lines_of
from candlecast.records import encoded
from tests.unit.candlecast.test_records import columns_of, tables


@given(tables())
@settings(max_examples=60)
def test_columns_come_back_from_their_lines_bit_for_bit(made: list[dict[str, Any]]) -> None:
    rows = columns_of(made)
    row_hashes = [bytes([number]) * 32 for number in range(len(made))]
    lines = b"".join(lines_of(rows, row_hashes))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.jsonl"
        path.write_bytes(lines + last_line(len(made), 1, sha256(lines).digest()))
        reader = LinesReader(path)
        ((read, hashes),) = reader.batches()

    assert list(encoded(read)) == list(encoded(rows))
    assert hashes == row_hashes
    assert reader.wrong == []
