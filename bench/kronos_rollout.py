"""How much faster our Kronos rollout is than the original algorithm: `python -m bench.kronos_rollout`.

23 series of 392 bars, 120 steps, random weights in a published shape. Our side runs whole. The reference
(`bench/upstream.py`, checked against the original's arrays in the tests) would take hours, so its steps are cut,
never its rows: T(p) is timed for two step counts at the first lookback (392) and at the last (512 − p2); a step
takes (T(p2) − T(p1)) / (p2 − p1), linear in the context between the two; the total is T at p = 0 plus the sum over
the steps. Both sides are timed in turn, round after round, and medians are compared. On a machine that is busy with
other work, `--cpu` counts processor seconds of one thread instead of the wall clock.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from bench import upstream
from bench.results import machine, replace_section
from inference_server.kronos import Kronos, KronosTokenizer, rollout
from inference_server.kronos.config import PredictorConfig, TokenizerConfig
from inference_server.kronos.zoo import ZOO

SERIES, LOOKBACK, STEPS = 23, 392, 120
SAMPLING = {"temperature": 1.0, "top_k": 0, "top_p": 0.9}
BARS = {("kronos-mini", 1): 25, ("kronos-mini", 8): 110}
# Steps timed of the reference: enough that their difference stands out, few enough to fit into minutes.
CUT = {("kronos-mini", 1): (2, 6)}

Clock = Callable[[], float]
Inputs = tuple[Tensor, Tensor, Tensor]


def main() -> None:
    """Measure, print, and write the section of bench/RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=[entry.name for entry in ZOO], default="kronos-mini")
    parser.add_argument("--paths", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=3, help="times both sides are measured in turn")
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md alone")
    parser.add_argument("--cpu", action="store_true", help="one thread, processor seconds: for a busy machine")
    args = parser.parse_args()
    if args.cpu:
        torch.set_num_threads(1)
    clock = time.process_time if args.cpu else time.perf_counter
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = models(args.shape, Path(folder))
    started = os.getloadavg()[0]
    rows = [compare(args.shape, ours, theirs, n_paths, args.rounds, clock) for n_paths in args.paths]
    unit = "processor seconds of one thread" if args.cpu else f"wall clock, {torch.get_num_threads()} threads"
    body = "\n".join(
        [
            f"{SERIES} series × {LOOKBACK} bars × {STEPS} steps, float32, T 1, top_p 0.9, random weights shaped like",
            f"{args.shape}. {machine()}, torch {torch.__version__}. Clock: {unit}; load average {started:.1f} at the",
            f"start, {os.getloadavg()[0]:.1f} at the end.",
            "",
            "| paths | ours, s (range) | original algorithm, s (range) | ratio | bar | ms per row and step, ours |",
            "|---:|---:|---:|---:|---:|---:|",
            *rows,
            "",
            "The original's time is extrapolated from all rows and few steps at both ends of the context (method in",
            "`bench/kronos_rollout.py`); both sides were timed in turn in one run, medians are compared. Ours is the",
            "whole rollout: scaled bars in, sample paths out, each path with a random stream of its own.",
        ]
    )
    print(body)
    if not args.dry:
        replace_section(f"Kronos rollout, {args.shape}" + (", processor time" if args.cpu else ""), body)


def models(shape: str, folder: Path) -> tuple[tuple[KronosTokenizer, Kronos], tuple[upstream.Module, upstream.Module]]:
    """The same random weights on both sides."""
    entry = next(entry for entry in ZOO if entry.name == shape)
    torch.manual_seed(0)
    tokenizer = KronosTokenizer(TokenizerConfig(6, 256, 4, 512, 4, 4, 0.0, 0.0, 0.0, 10, 10, 0.05, 1.0, 1.1, 0.05, 5))
    predictor = Kronos(PredictorConfig(10, 10, *entry.shape, 0.2, 0.2, 0.0, 0.0, True))
    tokenizer.save_pretrained(folder / "tokenizer")
    predictor.save_pretrained(folder / "model")
    # Read whole into memory, as our side holds them, before the folder goes.
    theirs = [upstream.Module.load(folder / part) for part in ("tokenizer", "model")]
    held = [upstream.Module(m.config, {key: value.clone() for key, value in m.weights.items()}) for m in theirs]
    return (tokenizer, predictor), (held[0], held[1])


def inputs(lookback: int, steps: int) -> Inputs:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(SERIES, lookback, 6, generator=generator)
    low, high = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([60, 24, 7, 29, 13])
    stamps = low + (torch.rand(SERIES, lookback + steps, 5, generator=generator) * (high - low)).long()
    return x, stamps[:, :lookback].float(), stamps[:, lookback:].float()


def seconds(work: Callable[[], object], clock: Clock) -> float:
    started = clock()
    work()
    return clock() - started


def extrapolated(timed: Callable[[int, int], float], few: int, many: int) -> float:
    """Seconds of the whole reference run, from `timed(lookback, steps)`."""
    ends = []
    for lookback in (LOOKBACK, LOOKBACK + STEPS - many):
        short, long = timed(lookback, few), timed(lookback, many)
        ends.append(((long - short) / (many - few), short))
    # A step in the middle of a cut run stands for the context there.
    at = [lookback + (few + many - 1) / 2 for lookback in (LOOKBACK, LOOKBACK + STEPS - many)]
    slope = (ends[1][0] - ends[0][0]) / (at[1] - at[0])
    steps = [ends[0][0] + slope * (LOOKBACK + step - at[0]) for step in range(STEPS)]
    # What is not a step is the encoding of the lookback and the decoding of the window, here of the longest.
    fixed = ends[1][1] - few * ends[1][0]
    return max(fixed, 0.0) + sum(steps)


def compare(
    shape: str,
    ours: tuple[KronosTokenizer, Kronos],
    theirs: tuple[upstream.Module, upstream.Module],
    n_paths: int,
    rounds: int,
    clock: Clock,
) -> str:
    few, many = CUT.get((shape, n_paths), (1, 3))
    whole = inputs(LOOKBACK, STEPS)

    def our_run() -> None:
        rollout(*ours, *whole, horizon=STEPS, n_paths=n_paths, max_context=LOOKBACK + STEPS, seed=1, **SAMPLING)

    def their_run(lookback: int, steps: int) -> float:
        some = inputs(lookback, steps)
        options = {"horizon": steps, "n_paths": n_paths, "max_context": LOOKBACK + STEPS}
        return seconds(lambda: upstream.rollout(*theirs, *some, **options, **SAMPLING), clock)

    our_run()
    mine: list[float] = []
    reference: list[float] = []
    for _ in range(rounds):
        mine.append(seconds(our_run, clock))
        reference.append(extrapolated(their_run, few, many))
        mine.append(seconds(our_run, clock))
    a, b = statistics.median(mine), statistics.median(reference)
    bar = BARS.get((shape, n_paths))
    ours_range, their_range = (f"{min(x):.3g}–{max(x):.3g}" for x in (mine, reference))
    each = 1000 * a / (SERIES * n_paths * STEPS)
    return (
        f"| {n_paths} | {a:.2f} ({ours_range}) | {b:.0f} ({their_range}) | **{b / a:.0f}×** "
        f"| {f'≥ {bar}×' if bar else '–'} | {each:.2f} |"
    )


if __name__ == "__main__":
    main()
