"""Sample paths: draw the next bar's ids again and again, then decode what was drawn.

Axes: B series, L lookback bars (may differ between series), S paths per series, R = B·S rows ordered
series-major, P horizon, C context. Everything is in normalised units (`scaling.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from candlecast.forecasts import never
from inference_server.kronos import workers
from inference_server.kronos.arrays import bars_tensor, series_list, stamps_tensor
from inference_server.kronos.errors import RolloutCancelled, RolloutError
from inference_server.kronos.folded import CHUNK_TOKENS, FoldedPredictor, even_parts
from inference_server.kronos.paths import Paths, Prefix, prefill
from inference_server.kronos.sampling import PathStreams, Sampling, SharedStream, Stream, series_seeds
from inference_server.kronos.steps import Steps

if TYPE_CHECKING:
    from inference_server.kronos.model import Kronos
    from inference_server.kronos.tokenizer import KronosTokenizer

CLIP = 5.0
Batch = ArrayLike | Tensor | Sequence[ArrayLike | Tensor]


@dataclass(frozen=True, slots=True)
class Rollout:
    """paths [B, S, P, 6] bars, s1 and s2 [B, S, P] their ids; last [B, 6] the decoder's view of the newest known bar.

    `last` is None where the decoded window holds nothing but drawn bars.
    """

    paths: Tensor
    s1: Tensor
    s2: Tensor
    last: Tensor | None

    def series(self, index: int) -> "Rollout":
        """The part of one series, B = 1."""
        some = slice(index, index + 1)
        return Rollout(self.paths[some], self.s1[some], self.s2[some], None if self.last is None else self.last[some])


def rollout(
    tokenizer: "KronosTokenizer",
    model: "Kronos",
    x: Batch,
    x_stamp: Batch,
    y_stamp: Batch,
    *,
    horizon: int,
    n_paths: int = 1,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    max_context: int = 512,
    seed: int | Sequence[int] | None = None,
    cancel: Callable[[], bool] = never,
) -> Tensor:
    """Sample paths [B, n_paths, horizon, 6] on normalised bars.

    Parameters
    ----------
    x : [B, L, 6] normalised bars, or a list of [L_i, 6] where lookbacks differ
    x_stamp, y_stamp : [B, L, 5] and [B, horizon, 5] minute, hour, weekday, day, month of the known and the coming bars
    max_context : bars that the model sees at once; nothing is recomputed while L + horizon stays within it,
        beyond it every step recomputes the window, exactly as upstream
    seed : one integer (series i gets a seed derived from it and i) or one per series gives each (seed, path) a
        stream of its own, so that a path does not depend on the rest of the batch; None draws from torch's
        default CPU generator in upstream's order, for comparison with seeded upstream runs
    cancel : asked before every bar

    Raises
    ------
    RolloutError : shapes, values or options that cannot work, horizon above max_context among them.
    RolloutCancelled : `cancel()` said so.
    """
    sampling = Sampling(temperature, top_k, top_p)
    return simulate(
        tokenizer,
        model,
        x,
        x_stamp,
        y_stamp,
        horizon=horizon,
        n_paths=n_paths,
        sampling=sampling,
        max_context=max_context,
        seed=seed,
        cancel=cancel,
    ).paths


def simulate(
    tokenizer: "KronosTokenizer",
    model: "Kronos",
    x: Batch,
    x_stamp: Batch,
    y_stamp: Batch,
    *,
    horizon: int,
    n_paths: int,
    sampling: Sampling,
    max_context: int,
    seed: int | Sequence[int] | None,
    cancel: Callable[[], bool] = never,
    paths_at_once: int | None = None,
    fixed_steps: bool | None = None,
) -> Rollout:
    """`rollout` with everything that it found out on the way, `paths_at_once` of a series at a time (None: all).

    `fixed_steps` takes steps of one shape (`steps.py`) where nothing slides; None does so on a GPU.

    With streams of their own, series are dealt to the cores; upstream's one stream needs all of them in step, and
    all of their paths.
    """
    if horizon < 1 or n_paths < 1 or max_context < 1:
        raise RolloutError(f"horizon {horizon}, n_paths {n_paths}, max_context {max_context}: each must be 1 or more")
    if horizon > max_context:
        raise RolloutError(f"horizon {horizon} exceeds max_context {max_context}; ask for at most {max_context} bars")
    if (model.config.s1_bits, model.config.s2_bits) != (tokenizer.config.s1_bits, tokenizer.config.s2_bits):
        raise RolloutError(
            f"the tokenizer speaks {tokenizer.config.s1_bits} + {tokenizer.config.s2_bits} bits, the predictor "
            f"{model.config.s1_bits} + {model.config.s2_bits}; a predictor works with its own tokenizer only"
        )
    folded = model.folded
    given = _series(tokenizer, folded, x, x_stamp, y_stamp, horizon)
    n_series = len(given[0])

    fixed = seed is not None and (folded.device.type == "cuda" if fixed_steps is None else fixed_steps)

    def run(first: int, last: int, streams: Sequence[tuple[int, Stream]]) -> Rollout:
        with torch.no_grad():
            bars, past_fields, next_fields = (each[first:last] for each in given)
            lengths = [len(each) for each in bars]
            past = tokenizer.folded.encode(_padded(bars).clamp_(-CLIP, CLIP))
            times = folded.time(_padded(past_fields)), folded.time(torch.stack(next_fields))
            groups = _groups(lengths, horizon, max_context)
            if fixed and all(group.cached_steps == horizon for group in groups):
                pieces = _draw_in_fixed_steps(folded, past, times, lengths, sampling, streams, cancel)
            else:
                pieces = [
                    _draw(folded, groups, past, times, lengths, n, horizon, sampling, max_context, stream, cancel)
                    for n, stream in streams
                ]
            groups.clear()  # their keys and values are not needed to decode
            s1, s2 = (torch.cat(ids, 1) for ids in zip(*pieces, strict=True))
            return _decode(tokenizer, past, lengths, (s1, s2), max_context)

    if seed is None:
        return run(0, n_series, [(n_paths, SharedStream())])
    seeds = series_seeds(seed, n_series)
    ranges = even_parts(n_paths, paths_at_once or n_paths)

    def part(first: int, last: int) -> Callable[[], Rollout]:
        def work() -> Rollout:
            some = seeds[first:last]
            return run(
                first, last, [(n - m, PathStreams(some, range(m, n), horizon, folded.device)) for m, n in ranges]
            )

        return work

    n_parts = min(workers.n_workers(), n_series) if folded.device.type == "cpu" else 1
    if n_parts == 1:
        return part(0, n_series)()
    edges = [n_series * i // n_parts for i in range(n_parts + 1)]
    return _joined(workers.gather([part(first, last) for first, last in pairwise(edges)]))


def _joined(parts: list[Rollout]) -> Rollout:
    last = [part.last for part in parts if part.last is not None]
    return Rollout(
        torch.cat([part.paths for part in parts]),
        torch.cat([part.s1 for part in parts]),
        torch.cat([part.s2 for part in parts]),
        torch.cat(last) if last else None,
    )


def _series(
    tokenizer: "KronosTokenizer", model: FoldedPredictor, x: Batch, x_stamp: Batch, y_stamp: Batch, horizon: int
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    given = [series_list(value, name) for value, name in ((x, "x"), (x_stamp, "x_stamp"), (y_stamp, "y_stamp"))]
    counts = [len(each) for each in given]
    if min(counts) != max(counts) or counts[0] == 0:
        raise RolloutError(f"x, x_stamp and y_stamp hold {counts} series; they must agree and not be empty")
    bars = [bars_tensor(each, tokenizer.config.d_in, model.device, f"x[{i}]") for i, each in enumerate(given[0])]
    for i, each in enumerate(bars):
        if each.ndim != 2:
            raise RolloutError(f"x[{i}] has shape {tuple(each.shape)}, needed is [bars, {tokenizer.config.d_in}]")
    past = [
        stamps_tensor(stamp, len(known), f"x_stamp[{i}]", model.device)
        for i, (stamp, known) in enumerate(zip(given[1], bars, strict=True))
    ]
    coming = [stamps_tensor(stamp, horizon, f"y_stamp[{i}]", model.device) for i, stamp in enumerate(given[2])]
    return bars, past, coming


def _padded(series: list[Tensor]) -> Tensor:
    """[B, longest, …], zero behind the end of a shorter series."""
    return torch.nn.utils.rnn.pad_sequence(series, batch_first=True)


@dataclass(slots=True)
class _Group:
    """Series that leave the cache at the same step; their prefix serves one piece of their paths after another."""

    series: list[int]
    cached_steps: int
    prefix: Prefix | None = None
    paths: Paths | None = None

    def rows(self, S: int, device: torch.device) -> Tensor:
        """Where S paths of each series stand in the batch."""
        return torch.tensor([i * S + s for i in self.series for s in range(S)], device=device)


def _groups(lengths: list[int], P: int, C: int) -> list[_Group]:
    """A step with n known bars is cached while n ≤ C, so series i has C − L_i + 1 cached steps."""
    by_steps: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        by_steps.setdefault(min(P, max(0, C - length + 1)), []).append(index)
    return [_Group(members, steps) for steps, members in by_steps.items()]


def _draw_in_fixed_steps(
    model: FoldedPredictor,
    past: tuple[Tensor, Tensor],
    times: tuple[Tensor, Tensor],
    lengths: list[int],
    sampling: Sampling,
    streams: Sequence[tuple[int, Stream]],
    cancel: Callable[[], bool],
) -> list[tuple[Tensor, Tensor]]:
    """As `_draw` for every piece of the paths, where the window never slides."""
    prefix = prefill(model, *past, times[0], lengths, cancel)
    return [
        Steps(model, prefix, n, times[1], sampling, stream).draw(cancel)
        for n, stream in streams
        if isinstance(stream, PathStreams)
    ]


def _draw(
    model: FoldedPredictor,
    groups: list[_Group],
    past: tuple[Tensor, Tensor],
    times: tuple[Tensor, Tensor],
    lengths: list[int],
    S: int,
    P: int,
    sampling: Sampling,
    C: int,
    stream: Stream,
    cancel: Callable[[], bool],
) -> tuple[Tensor, Tensor]:
    """s1 and s2, each [B, S, P]."""
    B = len(lengths)
    s1, s2 = (past[0].new_zeros(B, S, P) for _ in range(2))
    rows_of = [group.rows(S, model.device) for group in groups]
    for group in groups:
        group.paths = None
    for step in range(P):
        if cancel():
            raise RolloutCancelled(f"cancelled before bar {step + 1} of {P}")
        active = [
            (rows[first:last], paths)
            for group, rows in zip(groups, rows_of, strict=True)
            for first, last, paths in _at_step(model, group, past, times, lengths, (s1, s2), step, C, cancel)
        ]
        alone = len(active) == 1
        logits = [paths.s1_logits() for _, paths in active]
        chosen = stream.draw(logits[0] if alone else _in_order(active, logits), sampling)
        logits = [paths.s2_logits(chosen if alone else chosen[rows]) for rows, paths in active]
        fine = stream.draw(logits[0] if alone else _in_order(active, logits), sampling)
        s1[:, :, step], s2[:, :, step] = chosen.view(B, S), fine.view(B, S)
    return s1, s2


def _in_order(active: list[tuple[Tensor, Paths]], logits: list[Tensor]) -> Tensor:
    rows = torch.cat([rows for rows, _ in active])
    together = torch.empty_like(torch.cat(logits))
    together[rows] = torch.cat(logits)
    return together


def _at_step(
    model: FoldedPredictor,
    group: _Group,
    past: tuple[Tensor, Tensor],
    times: tuple[Tensor, Tensor],
    lengths: list[int],
    drawn: tuple[Tensor, Tensor],
    step: int,
    C: int,
    cancel: Callable[[], bool],
) -> list[tuple[int, int, Paths]]:
    """The paths of a group ready to name bar `step`, as ranges of the group's rows."""
    if step < group.cached_steps:
        rows = len(group.series) * drawn[0].shape[1]
        return [(0, rows, _cached(model, group, past, times, lengths, drawn, step, cancel))]
    group.paths = None
    return _windows(model, group, past, times, lengths, drawn, step, C)


def _cached(
    model: FoldedPredictor,
    group: _Group,
    past: tuple[Tensor, Tensor],
    times: tuple[Tensor, Tensor],
    lengths: list[int],
    drawn: tuple[Tensor, Tensor],
    step: int,
    cancel: Callable[[], bool],
) -> Paths:
    members = slice(None) if len(group.series) == len(lengths) else group.series
    if group.prefix is None:
        known = [lengths[i] for i in group.series]
        s1, s2, time = (each[members, : max(known)] for each in (*past, times[0]))
        group.prefix = prefill(model, s1, s2, time, known, cancel)
    if group.paths is None:
        group.paths = Paths(model, group.prefix, drawn[0].shape[1], group.cached_steps - 1)
    else:
        bar = slice(step - 1, step)
        group.paths.extend(drawn[0][members, :, bar], drawn[1][members, :, bar], times[1][members, bar])
    return group.paths


def _windows(
    model: FoldedPredictor,
    group: _Group,
    past: tuple[Tensor, Tensor],
    times: tuple[Tensor, Tensor],
    lengths: list[int],
    drawn: tuple[Tensor, Tensor],
    step: int,
    C: int,
) -> list[tuple[int, int, Paths]]:
    """The last C bars computed anew: positions restart at the window's start, so nothing kept is valid.

    The part of the window that lies in the lookback is still shared by the paths of a series.
    """
    S, own = drawn[0].shape[1], min(step, C)
    at_once = max(1, CHUNK_TOKENS // max(1, own))
    ready: list[tuple[int, int, Paths]] = []
    for position, index in enumerate(group.series):
        one, length = slice(index, index + 1), lengths[index]
        window = slice(length - (C - own), length)
        prefix = prefill(model, past[0][one, window], past[1][one, window], times[0][one, window], [C - own])
        bars = slice(step - own, step)
        for first in range(0, S, at_once):
            last = min(first + at_once, S)
            paths = Paths(model, prefix, last - first, own)
            if own:
                some = (one, slice(first, last), bars)
                paths.extend(drawn[0][some], drawn[1][some], times[1][one, bars])
            ready.append((position * S + first, position * S + last, paths))
    return ready


def _decode(
    tokenizer: "KronosTokenizer",
    past: tuple[Tensor, Tensor],
    lengths: list[int],
    drawn: tuple[Tensor, Tensor],
    C: int,
) -> Rollout:
    """Bars of the last C ids; the window's known part is decoded once per series."""
    P = drawn[0].shape[2]
    room = C - P
    known = [min(length, room) for length in lengths]
    if room == 0:
        flat = [each.reshape(-1, P) for each in drawn]
        return Rollout(tokenizer.folded.decode(*flat).view(*drawn[0].shape, -1), *drawn, None)
    if max(lengths) > room:
        ends = [slice(length - kept, length) for length, kept in zip(lengths, known, strict=True)]
        past = tuple(_padded([row[end] for row, end in zip(ids, ends, strict=True)]) for ids in past)  # type: ignore[assignment]
    paths, last = tokenizer.folded.decode_paths(past, known, drawn)
    return Rollout(paths, *drawn, last)
