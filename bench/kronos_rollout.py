"""How much faster our Kronos rollout is than the original algorithm: `python -m bench.kronos_rollout`.

23 series of 392 bars, 120 steps, random weights in every published shape, 1 and 8 paths (32 too for the smallest).
Our side runs whole. The reference (`bench/upstream.py`, checked against the original's arrays in the tests) would
take hours, so its steps are cut, never its rows: T(p) is timed for two step counts at the first lookback (392) and at
the last (512 − p2); a step takes (T(p2) − T(p1)) / (p2 − p1), linear in the context between the two; the total is T
at p = 0 plus the sum over the steps. Both sides are timed in turn, round after round, and medians are compared. On a
machine that is busy with other work, `--cpu` counts processor seconds of one thread instead of the wall clock. With a
GPU both sides run there, ours in bfloat16 unless told otherwise.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from bench import upstream
from bench.kronos_models import Models, Reference, as_reference, inputs, random_models
from bench.results import machine, replace_section
from inference_server.kronos import rollout
from inference_server.kronos.zoo import ZOO

SERIES, LOOKBACK, STEPS = 23, 392, 120
SAMPLING = {"temperature": 1.0, "top_k": 0, "top_p": 0.9}
BARS = {
    ("kronos-mini", 1): 32,
    ("kronos-mini", 8): 140,
    ("kronos-mini", 32): 250,
    ("kronos-small", 1): 55,
    ("kronos-small", 8): 230,
    ("kronos-base", 1): 75,
    ("kronos-base", 8): 265,
}
# Steps timed of the reference: enough that their difference stands out, few enough to fit into minutes.
CUT = {("kronos-mini", 1): (2, 6)}
SECONDS_OF_REFERENCE = {"kronos-mini": 0.75, "kronos-small": 3.9, "kronos-base": 15.6}
"""Of one step with one path on two cores, to say beforehand how long a run takes."""

Clock = Callable[[], float]


def main() -> None:
    """Measure, print, and write a section of bench/RESULTS.md per shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=[entry.name for entry in ZOO], default=[e.name for e in ZOO])
    parser.add_argument("--paths", type=int, nargs="+", help="instead of 1, 8 and, for the smallest shape, 32")
    parser.add_argument("--rounds", type=int, default=1, help="times both sides are measured in turn")
    parser.add_argument("--series", type=int, default=SERIES, help="fewer for a try; the bars are for 23")
    parser.add_argument("--steps", type=int, default=STEPS, help="fewer for a try; the bars are for 120")
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md alone")
    parser.add_argument("--cpu", action="store_true", help="one thread, processor seconds: for a busy machine")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], help="of our side; bfloat16 on a GPU")
    args = parser.parse_args()
    if args.steps < 8 or args.series < 1:
        parser.error("the reference is timed over up to 6 steps at both ends: --steps 8 or more, --series 1 or more")
    device = "cpu" if args.cpu or not torch.cuda.is_available() else "cuda"
    if args.cpu:
        torch.set_num_threads(1)
    plan = {shape: args.paths or ([1, 8, 32] if shape == "kronos-mini" else [1, 8]) for shape in args.shapes}
    if device == "cpu":
        expected = sum(_expected(shape, n, args) for shape, paths in plan.items() for n in paths)
        print(f"about {expected / 60:.0f} minutes on two quiet cores", flush=True)
    for shape, paths in plan.items():
        bench = Bench(shape, device, args)
        started = os.getloadavg()[0]
        rows = [bench.compare(n_paths, args.rounds) for n_paths in paths]
        unit = "processor seconds of one thread" if args.cpu else f"wall clock, {torch.get_num_threads()} threads"
        where = torch.cuda.get_device_name() if device == "cuda" else unit
        body = "\n".join(
            [
                f"{args.series} series × {LOOKBACK} bars × {args.steps} steps, ours in {bench.dtype}, T 1, top_p 0.9,",
                f"random weights shaped like {shape}. {machine()}, torch {torch.__version__}. Clock: {where}; load",
                f"average {started:.1f} at the start, {os.getloadavg()[0]:.1f} at the end.",
                "",
                "| paths | ours, s (range) | original algorithm, s (range) | ratio | bar | ms per row and step, ours "
                "| bars/s | bytes/s |",
                "|---:|---:|---:|---:|---:|---:|---:|---:|",
                *rows,
                "",
                "The original's time is extrapolated from all rows and few steps at both ends of the context (method",
                "in `bench/kronos_rollout.py`); both sides were timed in turn in one run, medians are compared. Ours",
                "is the whole rollout: scaled bars in, sample paths out, each path with a random stream of its own.",
                "Bytes are those that the decode steps have to read at least: weights, keys and values.",
            ]
        )
        print(body, flush=True)
        if not args.dry:
            replace_section(
                f"Kronos rollout, {shape}" + (", processor time" if args.cpu else ", GPU" if device == "cuda" else ""),
                body,
            )


def _expected(shape: str, n_paths: int, args: argparse.Namespace) -> float:
    """Seconds on two cores: the reference's four cut runs a round, and ours about three times."""
    few, many = CUT.get((shape, n_paths), (1, 3))
    step = SECONDS_OF_REFERENCE[shape] * (1 + 1.5 * (n_paths - 1) ** 0.9) * args.series / SERIES
    return args.rounds * 2.2 * (few + many) * step + 3 * step * args.steps / BARS.get((shape, n_paths), 100)


def seconds(work: Callable[[], object], clock: Clock) -> float:
    started = clock()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - started


def extrapolated(timed: Callable[[int, int], float], few: int, many: int, steps: int = STEPS) -> float:
    """Seconds of the whole reference run, from `timed(lookback, steps)`."""
    ends = []
    for lookback in (LOOKBACK, LOOKBACK + steps - many):
        short, long = timed(lookback, few), timed(lookback, many)
        ends.append(((long - short) / (many - few), short))
    # A step in the middle of a cut run stands for the context there.
    at = [lookback + (few + many - 1) / 2 for lookback in (LOOKBACK, LOOKBACK + steps - many)]
    slope = (ends[1][0] - ends[0][0]) / (at[1] - at[0])
    each = [ends[0][0] + slope * (LOOKBACK + step - at[0]) for step in range(steps)]
    # What is not a step is the encoding of the lookback and the decoding of the window, here of the longest.
    fixed = ends[1][1] - sum(each[steps - many : steps - many + few])
    return max(fixed, 0.0) + sum(each)


class Bench:
    """One shape on both sides."""

    def __init__(self, shape: str, device: str, args: argparse.Namespace) -> None:
        self._shape, self._device, self._series, self._steps = shape, device, args.series, args.steps
        self._clock: Clock = time.process_time if args.cpu else time.perf_counter
        self.ours: Models = random_models(shape)
        with tempfile.TemporaryDirectory() as folder:
            self.theirs: Reference = as_reference(self.ours, Path(folder))
        self.ours[0].to(device)
        self.ours[1].to(device)
        self.dtype = args.dtype or ("bfloat16" if device == "cuda" else "float32")
        self.ours[1].infer_in(getattr(torch, self.dtype))
        if device == "cuda":
            self.theirs = tuple(module.to(device) for module in self.theirs)  # type: ignore[assignment]

    def our_run(self, n_paths: int) -> None:
        given = inputs(self._series, LOOKBACK, self._steps)
        context = LOOKBACK + self._steps
        rollout(*self.ours, *given, horizon=self._steps, n_paths=n_paths, max_context=context, seed=1, **SAMPLING)

    def their_run(self, n_paths: int, lookback: int, steps: int) -> float:
        some = inputs(self._series, lookback, steps, self._device)
        options = {"horizon": steps, "n_paths": n_paths, "max_context": LOOKBACK + self._steps}
        return seconds(lambda: upstream.rollout(*self.theirs, *some, **options, **SAMPLING), self._clock)

    def compare(self, n_paths: int, rounds: int) -> str:
        """A row of the table."""
        few, many = CUT.get((self._shape, n_paths), (1, 3))
        self.our_run(n_paths)
        mine: list[float] = []
        reference: list[float] = []
        for _ in range(rounds):
            mine.append(seconds(lambda: self.our_run(n_paths), self._clock))
            timed = lambda lookback, steps: self.their_run(n_paths, lookback, steps)  # noqa: E731
            reference.append(extrapolated(timed, few, many, self._steps))
            mine.append(seconds(lambda: self.our_run(n_paths), self._clock))
        a, b = statistics.median(mine), statistics.median(reference)
        bar = BARS.get((self._shape, n_paths))
        ours_range, their_range = (f"{min(x):.3g}–{max(x):.3g}" for x in (mine, reference))
        n_bars = self._series * n_paths * self._steps
        return (
            f"| {n_paths} | {a:.2f} ({ours_range}) | {b:.0f} ({their_range}) | **{b / a:.0f}×** "
            f"| {f'≥ {bar}×' if bar else '–'} | {1000 * a / n_bars:.2f} | {n_bars / a:,.0f} "
            f"| {self.bytes_read(n_paths) / a / 1e9:.1f} GB |"
        )

    def bytes_read(self, n_paths: int) -> float:
        """At least, by the decode steps of all series together: weights once a step, each key and value once."""
        config, folded = self.ours[1].config, self.ours[1].folded
        d, n, e = config.d_model, config.n_layers, folded.dtype.itemsize
        weights = (
            n * (4 * d * d + 3 * d * config.ff_dim) + 3 * d * d + d * ((1 << config.s1_bits) + (1 << config.s2_bits))
        )
        kept = (2 * n + 2) * d * e
        own = n_paths * (self._steps - 1) / 2
        return self._steps * (weights * e + self._series * (LOOKBACK + own) * kept)


if __name__ == "__main__":
    main()
