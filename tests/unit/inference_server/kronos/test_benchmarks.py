"""The reference's time is extrapolated from a few of its steps: exact where a step's cost is linear in its context."""

import pytest
import torch

from bench import kronos_rollout
from bench.allocations import peak_bytes


@pytest.mark.parametrize("steps", [20, 120])
def test_a_cost_linear_in_the_context_is_extrapolated_exactly(steps: int) -> None:
    def step(n_known: int) -> float:
        return 0.5 + 0.01 * n_known

    def timed(lookback: int, n: int) -> float:
        return 7.0 + sum(step(lookback + i) for i in range(n))

    whole = timed(kronos_rollout.LOOKBACK, steps)

    assert kronos_rollout.extrapolated(timed, 2, 6, steps) == pytest.approx(whole)
    assert kronos_rollout.extrapolated(timed, 1, 3, steps) == pytest.approx(whole)


def test_every_ratio_that_the_issue_asks_for_has_its_bar() -> None:
    asked = {"kronos-mini": {1: 32, 8: 140, 32: 250}, "kronos-small": {1: 55, 8: 230}, "kronos-base": {1: 75, 8: 265}}

    assert {(shape, n): bar for shape, bars in asked.items() for n, bar in bars.items()} == kronos_rollout.BARS


def test_the_peak_counts_what_was_held_at_once() -> None:
    def work() -> None:
        held = torch.empty(1_000_000, dtype=torch.uint8)
        del held
        both = [torch.empty(700_000, dtype=torch.uint8) for _ in range(2)]
        assert len(both) == 2

    assert peak_bytes(work, torch.device("cpu")) == pytest.approx(1_400_000, rel=0.01)
