import asyncio

import pytest

from inference_server.scheduler import FIRST_GUESS_S, Draining, QueueFull, Scheduler


async def test_turns_are_taken_one_at_a_time_in_the_order_of_arrival() -> None:
    scheduler = Scheduler(depth=2)
    places = [scheduler.admit() for _ in range(3)]
    order: list[int] = []

    async def use(number: int) -> None:
        await places[number].turn()
        order.append(number)
        await asyncio.sleep(0)
        places[number].leave()

    await asyncio.gather(*(use(number) for number in (0, 1, 2)))

    assert order == [0, 1, 2]
    assert not scheduler.busy


def test_one_at_work_and_two_waiting_are_full() -> None:
    scheduler = Scheduler(depth=2)
    for waiting in (0, 1, 2):
        scheduler.admit()
        assert scheduler.n_waiting == waiting

    with pytest.raises(QueueFull) as caught:
        scheduler.admit()

    assert caught.value.retry_after_s == 3 * FIRST_GUESS_S


def test_the_time_to_come_back_follows_the_measured_service_time() -> None:
    scheduler = Scheduler(depth=0)
    for _ in range(60):
        scheduler.admit().leave(service_s=0.2)
    scheduler.admit()

    with pytest.raises(QueueFull) as caught:
        scheduler.check()

    assert scheduler.service_s == pytest.approx(0.2, abs=1e-6)
    assert caught.value.retry_after_s == 1  # a whole number of seconds, never 0


def test_work_that_was_stopped_early_says_nothing_about_the_service_time() -> None:
    scheduler = Scheduler(depth=0)
    scheduler.admit().leave()

    assert scheduler.service_s == FIRST_GUESS_S


def test_a_place_is_left_once_however_often_it_is_said() -> None:
    scheduler = Scheduler(depth=1)
    first, _second = scheduler.admit(), scheduler.admit()

    first.leave()
    first.leave()

    assert scheduler.busy
    scheduler.admit()
    with pytest.raises(QueueFull):
        scheduler.admit()


async def test_a_place_given_up_while_waiting_does_not_block_the_next() -> None:
    scheduler = Scheduler(depth=2)
    first, second, third = (scheduler.admit() for _ in range(3))
    await first.turn()
    waiting = asyncio.ensure_future(second.turn())
    await asyncio.sleep(0)

    waiting.cancel()
    await asyncio.wait({waiting})
    second.leave()
    first.leave()

    await asyncio.wait_for(third.turn(), 5)
    third.leave()
    await asyncio.wait_for(scheduler.idle(), 5)


def test_a_draining_scheduler_admits_nobody() -> None:
    scheduler = Scheduler(depth=2)
    scheduler.closed = Draining()

    with pytest.raises(Draining, match="shutting down"):
        scheduler.admit()
