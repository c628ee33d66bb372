"""What a decode step of Kronos costs beside its matrix products: `python -m bench.kronos_decode`.

Three questions, on random weights in a published shape, half-way through 120 steps after 392 bars:

- how long is a step (one more bar for every path: trunk, both heads, both draws) beside its matrix products alone, in
  the same shapes, from the same memory, on the same thread? The issue asks for at most twice;
- how does the cost of a path fall with the number of paths?
- are 200 series twenty times 10 series, within 10 %?

On a CPU one core is measured, as every core works for itself; on a GPU the step is the one that a CUDA graph replays.
Tokens/s follow, and how much of the memory's bandwidth (that of a plain copy, measured beside) the step makes use of
at least: weights, keys and values read once.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from bench.kronos_models import Models, inputs, random_models
from bench.results import machine, replace_section
from inference_server.kronos import rollout
from inference_server.kronos.config import CROSS_HEADS
from inference_server.kronos.folded import FoldedPredictor
from inference_server.kronos.paths import Paths, prefill
from inference_server.kronos.sampling import PathStreams, Sampling
from inference_server.kronos.steps import TIER, Steps, captured
from inference_server.kronos.zoo import ZOO

LOOKBACK, STEPS = 392, 120
PATHS = (1, 2, 4, 8, 16, 32, 64)


def main() -> None:
    """Measure, print, and write the section of bench/RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=[entry.name for entry in ZOO], default=["kronos-mini"])
    parser.add_argument("--paths", type=int, nargs="+", default=list(PATHS))
    parser.add_argument("--series", type=int, default=12, help="in the step that is timed: a core's half of 23")
    parser.add_argument("--many", type=int, default=200, help="series that are compared with 10; 0 leaves it out")
    parser.add_argument("--bars", type=int, default=8, help="steps timed per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md alone")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cores = torch.get_num_threads()
    print("about two minutes a shape with the default sizes", flush=True)
    for shape in args.shapes:
        models = random_models(shape, device)
        if device.type == "cuda":
            models[1].infer_in(torch.bfloat16)
        torch.set_num_threads(1)
        started = os.getloadavg()[0]
        peak = bandwidth(device)
        rows = [step_row(models, n_paths, args, peak) for n_paths in args.paths]
        torch.set_num_threads(cores)
        lines = [
            f"{args.series} series, {LOOKBACK} bars, half-way through {STEPS} steps, weights shaped like {shape}, "
            f"{str(models[1].folded.dtype).removeprefix('torch.')}. {machine()}, torch {torch.__version__}, "
            f"{torch.cuda.get_device_name() if device.type == 'cuda' else 'one core'}; load average {started:.1f}.",
            "",
            "| paths | step, ms | its products alone, ms | ratio (bar ≤ 2) | µs per path | tokens/s | GB/s read "
            f"| of {peak / 1e9:.0f} GB/s |",
            "|---:|---:|---:|---:|---:|---:|---:|---:|",
            *rows,
        ]
        if args.many:
            lines += ["", linear(models, args.many)]
        body = "\n".join(lines)
        print(body, flush=True)
        if not args.dry:
            replace_section(f"Kronos decode step, {shape}" + (", GPU" if device.type == "cuda" else ""), body)


def timed(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


@torch.no_grad()
def step_row(models: Models, n_paths: int, args: argparse.Namespace, peak: float) -> str:
    """A row of the table: medians over rounds in which step and products take turns."""
    folded, B, S, bars = models[1].folded, args.series, n_paths, args.bars
    ids = torch.randint(1024, (2, B, LOOKBACK), device=folded.device)
    time_rows = folded.time(torch.tensor([0, 5, 2, 7, 3], device=folded.device).expand(B, LOOKBACK, 5))
    prefix = prefill(folded, ids[0], ids[1], time_rows, [LOOKBACK] * B)
    step, products = [], []
    first = STEPS // 2 - bars // 2
    drawn = torch.randint(1024, (2, B, S, first), device=folded.device)
    for _ in range(args.rounds):
        paths = Paths(folded, prefix, S, STEPS - 1)
        for block in (*paths._blocks, paths._cross):  # as full as they are in the middle, with any numbers
            block.keys.normal_()
            block.values.normal_()
        paths._n = first
        stream = PathStreams(range(B), range(S), STEPS, folded.device)
        if folded.device.type == "cuda":
            replay = graph_of(Steps(folded, prefix, S, time_rows[:, :STEPS], Sampling(top_p=0.9), stream), first)
            work = lambda: [replay() for _ in range(bars)]  # noqa: B023, E731
        else:
            one = drawn[0, :, :, -1:], drawn[1, :, :, -1:]
            work = lambda: advance(paths, stream, one, time_rows[:, :1], bars, B, S)  # noqa: B023, E731
        step.append(timed(work, folded.device) / bars)
        alone = Products(folded, paths, B, S, first + bars // 2)
        products.append(timed(lambda: [alone.run() for _ in range(bars)], folded.device) / bars)  # noqa: B023
    a, b = statistics.median(step), statistics.median(products)
    return (
        f"| {S} | {1000 * a:.2f} | {1000 * b:.2f} | {a / b:.2f} | {1e6 * a / (B * S):.1f} | {B * S / a:,.0f} "
        f"| {alone.bytes / a / 1e9:.1f} | {alone.bytes / a / peak:.0%} |"
    )


def graph_of(steps: Steps, first: int) -> Callable[[], None]:
    """Steps from bar `first` on, captured; the first of them has run."""
    steps._name()
    steps._newest.fill_(first)
    steps._n_seen = min(STEPS - 1, first + TIER)
    steps.step()
    return captured(steps.step, steps._newest.device)


def bandwidth(device: torch.device) -> float:
    """Bytes per second that a plain copy reads and writes."""
    source = torch.zeros(1 << 27, device=device)
    target = torch.zeros_like(source)
    times = [timed(lambda: target.copy_(source), device) for _ in range(5)]
    return 2 * source.numel() * 4 / min(times)


def advance(
    paths: Paths, stream: PathStreams, ids: tuple[Tensor, Tensor], time_rows: Tensor, bars: int, B: int, S: int
) -> None:
    """`bars` steps as a rollout makes them."""
    sampling = Sampling(top_p=0.9)
    s1, s2 = ids
    for _ in range(bars):
        paths.extend(s1, s2, time_rows)
        s1 = stream.draw(paths.s1_logits(), sampling)
        s2 = stream.draw(paths.s2_logits(s1), sampling)
        s1, s2 = s1.view(B, S, 1), s2.view(B, S, 1)


class Products:
    """The matrix products of one step and nothing else, on the same weights, keys and values."""

    def __init__(self, folded: FoldedPredictor, paths: Paths, B: int, S: int, n_own: int) -> None:
        self._folded, self._shape, self._n_own = folded, (B, S), n_own
        d, dtype, device = folded.d_model, folded.dtype, folded.device
        self._x = torch.randn(B * S, d, device=device)
        self._wide = torch.randn(B * S, folded.blocks[0].down.n_in, device=device)
        self._attention = []
        for H, of_prefix, own in (
            *((folded.n_heads, p, o) for p, o in zip(paths._prefix.blocks, paths._blocks, strict=True)),
            (CROSS_HEADS, paths._prefix.cross, paths._cross),
        ):
            h = d // H
            q = torch.randn(B * H, S, h, device=device).to(dtype)
            self._attention.append(
                (
                    (q, of_prefix.keys.view(B * H, -1, h).transpose(1, 2)),
                    (torch.rand(B * H, S, LOOKBACK, device=device).to(dtype), of_prefix.values.view(B * H, -1, h)),
                    (q.view(B * H * S, 1, h), own.keys.view(B * H * S, -1, h)[:, :n_own].transpose(1, 2)),
                    (
                        torch.rand(B * H * S, 1, n_own, device=device).to(dtype),
                        own.values.view(B * H * S, -1, h)[:, :n_own],
                    ),
                )
            )

    def run(self) -> None:
        folded, x = self._folded, self._x
        for block in folded.blocks:
            block.qkv(x)
            block.out(x)
            block.gate_up(x)
            block.down(self._wide)
        for layer in (folded.cross_kv, folded.s1_head, folded.cross_out, folded.s2_head):
            layer(x)
        for products in self._attention:
            for left, right in products:
                torch.bmm(left, right)

    @property
    def bytes(self) -> float:
        """Read at least: the weights, every key and every value."""
        folded, (B, S) = self._folded, self._shape
        d, n, f = folded.d_model, len(folded.blocks), folded.blocks[0].down.n_in
        heads = folded.s1_table.shape[0] + folded.s2_table.shape[0]
        weights = n * (4 * d * d + 3 * d * f) + 3 * d * d + d * heads
        return folded.dtype.itemsize * (weights + B * (LOOKBACK + S * self._n_own) * (2 * n + 2) * d)


def linear(models: Models, many: int) -> str:
    """Whole rollouts of 10 and of `many` series, 1 path and 24 steps."""
    options = {"horizon": 24, "n_paths": 1, "max_context": LOOKBACK + 24, "seed": 1, "top_p": 0.9}
    device = models[1].folded.device
    given = {n: inputs(n, LOOKBACK, 24) for n in (10, many)}
    rollout(*models, *given[10], **options)
    times: dict[int, list[float]] = {10: [], many: []}
    for _ in range(3):
        for n, several in ((10, many // 10), (many, 1)):
            work = lambda: [rollout(*models, *given[n], **options) for _ in range(several)]  # noqa: B023, E731
            times[n].append(timed(work, device) / several)
    few, lots = statistics.median(times[10]), statistics.median(times[many])
    share = lots / few / (many / 10)
    return (
        f"10 series × 24 steps take {few:.2f} s, {many} take {lots:.2f} s: {share:.2f} times as much a series (≤ 1.1)."
    )


if __name__ == "__main__":
    main()
