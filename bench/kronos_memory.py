"""Whether 23 series × 100 paths × 120 steps of the largest Kronos fit eight gigabytes: `python -m bench.kronos_memory`.

The arithmetic is that of `inference_server/kronos/memory.py`. Beside it stands what torch's allocator really handed
out at its peak: on a GPU over a whole rollout; on a CPU, where the same would take an hour, every buffer is allocated
as for all steps and the first bars are drawn. Random weights; memory does not ask what they are.
"""

import argparse
import contextlib
import time

import torch

from bench.allocations import peak_bytes
from bench.kronos_models import inputs, random_models
from bench.results import machine, replace_section
from inference_server.kronos import Kronos, KronosTokenizer
from inference_server.kronos.errors import RolloutCancelled
from inference_server.kronos.folded import chunks
from inference_server.kronos.memory import Footprint, MicroBatch
from inference_server.kronos.rollout import simulate
from inference_server.kronos.sampling import Sampling
from inference_server.kronos.zoo import ZOO

LOOKBACK = 392


def main() -> None:
    """Measure, print, and write the section of bench/RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=[entry.name for entry in ZOO], default="kronos-base")
    parser.add_argument("--series", type=int, default=23)
    parser.add_argument("--paths", type=int, default=100)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--bars", type=int, default=3, help="bars that are drawn on a CPU")
    parser.add_argument("--gb", type=float, default=8.0, help="memory of the card, 10^9 bytes")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md alone")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)  # one thread's allocations are counted
    dtype = getattr(torch, args.dtype)
    print("about a minute on a CPU, with the default sizes")
    tokenizer, model = random_models(args.shape, device)
    model.infer_in(dtype)
    weights = sum(p.numel() * p.element_size() for module in (tokenizer, model) for p in module.parameters())
    folded = peak_bytes(lambda: (tokenizer.folded, model.folded), device)
    footprint = Footprint.of(tokenizer.config, model.config, dtype, LOOKBACK, args.steps)
    budget = int(args.gb * 1e9) - weights - folded
    size = MicroBatch.fitting(footprint, budget, args.series, args.paths)
    n_batches = -(-args.series // size.series)
    even = -(-args.series // n_batches)
    started = time.perf_counter()
    bars = args.steps if device.type == "cuda" else min(args.bars, args.steps)
    measured = peak_bytes(lambda: draw(tokenizer, model, even, size.paths, args.steps, bars), device)
    seconds = time.perf_counter() - started
    whole = footprint.bytes(args.series, args.paths)
    total = measured + weights + folded
    body = "\n".join(
        [
            f"{args.series} series × {args.paths} paths × {args.steps} steps after {LOOKBACK} bars, {args.shape}, "
            f"{args.dtype}. {machine()}, torch {torch.__version__}, {device.type}.",
            "",
            "| | GB |",
            "|---|---:|",
            f"| weights: both modules in float32, and folded for inference | {(weights + folded) / 1e9:.2f} |",
            f"| a series, beside its paths | {footprint.per_series / 1e9:.3f} |",
            f"| a path | {footprint.per_path / 1e9:.5f} |",
            f"| passing through, whatever the number | {footprint.fixed / 1e9:.3f} |",
            f"| all {args.series} × {args.paths} in one micro-batch, by arithmetic "
            f"| {(whole + weights + folded) / 1e9:.2f} |",
            f"| largest micro-batch for {args.gb:g} GB: {size.series} series × {size.paths} paths, by arithmetic "
            f"| {(footprint.bytes(size.series, size.paths) + weights + folded) / 1e9:.2f} |",
            f"| as run, {n_batches} micro-batches of at most {even} × {size.paths}, by arithmetic "
            f"| {(footprint.bytes(even, size.paths) + weights + folded) / 1e9:.2f} |",
            f"| the same, **measured** ({bars} of {args.steps} bars drawn, {seconds:.0f} s) | **{total / 1e9:.2f}** |",
            "",
            f"{'Fits' if total <= args.gb * 1e9 else 'DOES NOT FIT'} {args.gb:g} GB. "
            f"Measured is {measured / footprint.bytes(even, size.paths):.0%} of the arithmetic's rollout.",
        ]
    )
    print(body)
    if not args.dry:
        replace_section(f"Kronos, memory of a rollout, {args.shape}", body)


def draw(tokenizer: KronosTokenizer, model: Kronos, n_series: int, n_paths: int, steps: int, bars: int) -> None:
    """The first `bars` of a rollout of all `steps`, and its end where these are all."""
    asked = -model.config.n_layers * len(chunks(n_series, LOOKBACK))  # once before each block of the lookbacks, too

    def enough() -> bool:
        nonlocal asked
        asked += 1
        return asked > bars

    options = {"horizon": steps, "n_paths": n_paths, "max_context": LOOKBACK + steps, "seed": 1}
    with contextlib.suppress(RolloutCancelled):
        given = inputs(n_series, LOOKBACK, steps)
        simulate(tokenizer, model, *given, sampling=Sampling(top_p=0.9), cancel=enough, **options)


if __name__ == "__main__":
    main()
