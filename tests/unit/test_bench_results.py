"""The page of measurements, shared by all benchmarks."""

import importlib.util
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "bench" / "results.py"
spec = importlib.util.spec_from_file_location("bench_results", SOURCE)
assert spec is not None
assert spec.loader is not None
results = importlib.util.module_from_spec(spec)
spec.loader.exec_module(results)


def test_a_section_replaces_itself_and_leaves_the_others_in_place(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    results.replace_section("One", "first", page)
    results.replace_section("Two", "second\n\n### a part\n\nmore", page)
    results.replace_section("One", "again", page)

    text = page.read_text()
    assert text.startswith("# Measurements\n")
    assert text.endswith("## One\n\nagain\n\n## Two\n\nsecond\n\n### a part\n\nmore\n")
    assert [path.name for path in tmp_path.iterdir()] == ["RESULTS.md"]
