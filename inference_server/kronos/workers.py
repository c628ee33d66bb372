"""Threads that each compute alone: one core per worker, instead of all cores per matrix product.

A decode step is some sixty small products. Split over the cores, each ends in a barrier, and when another
process holds one of the cores, every barrier waits for its time slice: a rollout of 2.3 s was seen to take 78 s.
Whole series per worker need no barrier, and what a worker computes does not depend on how many there are.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier, Lock
from typing import TypeVar

import torch

Result = TypeVar("Result")


def n_workers() -> int:
    """How many cores torch may use from this thread."""
    return torch.get_num_threads()


_pools: dict[int, ThreadPoolExecutor] = {}
_lock = Lock()


def _pool(size: int) -> ThreadPoolExecutor:
    with _lock:
        if size not in _pools:
            # The number of threads belongs to the calling thread, but what was set last is also what a new thread
            # starts with; so the caller's own number is set again once every worker stands.
            standing = Barrier(size + 1)

            def stand() -> None:
                torch.set_num_threads(1)
                torch.get_num_threads()  # the first look settles it; later it would find the caller's number
                standing.wait()

            _pools[size] = ThreadPoolExecutor(size, "kronos", stand)
            for _ in range(size):
                _pools[size].submit(torch.get_num_threads)  # an executor starts its threads one per waiting job
            standing.wait()
            torch.set_num_threads(size)
        return _pools[size]


def submit(work: Callable[[], Result]) -> "Future[Result]":
    """`work` on one core: in a worker, or at once and here where torch has a single thread anyway."""
    size = n_workers()
    if size > 1:
        return _pool(size).submit(work)
    done: Future[Result] = Future()
    try:
        done.set_result(work())
    except BaseException as error:
        done.set_exception(error)
    return done


def gather(work: list[Callable[[], Result]]) -> list[Result]:
    """Results in order; the first error is raised when nothing is running any more."""
    futures = [submit(each) for each in work]
    errors = [future.exception() for future in futures]
    for error in errors:
        if error is not None:
            raise error
    return [future.result() for future in futures]
