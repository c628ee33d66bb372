import pytest

from inference_server.idempotency import KEPT_S, MAX_KEPT, KeyReused, Results
from inference_server.transcript import Transcript

BODY, OTHER = b"1" * 32, b"2" * 32


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def finished(n_bytes: int = 100, reason: str | None = None, code: str | None = None) -> Transcript:
    transcript = Transcript("m", lambda _: None)
    transcript.join()
    transcript.put(b"x" * n_bytes, code)
    transcript.finish(reason)
    transcript.leave("client gone")
    return transcript


def keep(results: Results, key: str, transcript: Transcript) -> None:
    results.begin(key, BODY, transcript)
    results.settle(key, transcript)


def test_an_answer_is_found_for_two_hours_and_then_forgotten() -> None:
    clock = Clock()
    results = Results(10_000, clock)
    answer = finished()
    keep(results, "k", answer)

    clock.now += KEPT_S - 1
    assert results.find("k", BODY) is answer
    clock.now += 1
    assert results.find("k", BODY) is None
    assert (len(results), results.n_bytes) == (0, 0)
    assert KEPT_S == 7200


def test_a_key_that_came_with_another_body_is_refused() -> None:
    results = Results(10_000)
    keep(results, "k", finished())

    with pytest.raises(KeyReused, match="'k' was sent with another body before; a new request needs its own"):
        results.find("k", OTHER)


def test_no_key_finds_nothing() -> None:
    results = Results(10_000)
    keep(results, "k", finished())

    assert results.find(None, BODY) is None
    assert None not in results


def test_the_oldest_answers_make_room_in_bytes() -> None:
    results = Results(1_000)
    for key in "abcd":
        keep(results, key, finished(300 - 64 - 1))  # with what Python and the key add, 300 each

    assert [key for key in "abcd" if key in results] == ["b", "c", "d"]
    assert results.n_bytes == 900


def test_one_answer_larger_than_all_room_is_not_kept_and_pushes_nothing_out() -> None:
    results = Results(1_000)
    keep(results, "small", finished(100))
    keep(results, "large", finished(1_000))

    assert "small" in results
    assert "large" not in results


def test_the_number_of_answers_is_bounded_however_small_they_are() -> None:
    results = Results(10**9)
    for number in range(MAX_KEPT + 10):
        keep(results, str(number), finished(1))

    assert len(results) == MAX_KEPT
    assert "9" not in results
    assert "10" in results


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("deadline", None),
        ("client gone", None),
        ("draining", None),
        ("device", None),
        ("error", None),
        (None, "model_error"),
        (None, "out_of_memory"),
        (None, "bad_forecast"),
    ],
)
def test_what_was_cut_short_or_failed_by_our_own_doing_is_not_kept(reason: str | None, code: str | None) -> None:
    results = Results(10_000)
    keep(results, "k", finished(reason=reason, code=code))

    assert results.find("k", BODY) is None
    assert results.n_bytes == 0


def test_a_refusal_of_bad_data_would_come_again_and_is_kept() -> None:
    results = Results(10_000)
    keep(results, "k", finished(code="too_few_bars"))

    assert results.find("k", BODY) is not None


def test_a_request_at_work_is_joined_for_as_long_as_somebody_waits_for_it() -> None:
    results = Results(10_000)
    stopped: list[str] = []
    transcript = Transcript("m", stopped.append)
    results.begin("k", BODY, transcript)

    transcript.join()
    assert results.find("k", BODY) is transcript
    transcript.leave("client gone")
    assert stopped == ["client gone"]
    assert results.find("k", BODY) is None


def test_the_end_of_a_run_that_was_given_up_leaves_its_successor_alone() -> None:
    results = Results(10_000)
    first, second = Transcript("m", lambda _: None), finished()
    results.begin("k", BODY, first)
    results.begin("k", BODY, second)

    first.finish("client gone")
    results.settle("k", first)
    results.settle("k", second)

    assert results.find("k", BODY) is second
