import pytest

from inference_server.problems import BadRequest
from inference_server.terms import Terms

JSON = {"content-type": "application/json"}


def test_a_plain_request_wants_one_document_at_any_time() -> None:
    terms = Terms.of(JSON)

    assert (terms.lines, terms.expires, terms.key) == (False, None, None)
    assert not terms.expired()


def test_lines_a_deadline_and_a_key_are_read_from_their_headers() -> None:
    terms = Terms.of(
        {
            "content-type": "Application/JSON; charset=utf-8",
            "accept": "text/html, application/x-NDJSON",
            "x-deadline-ms": "0",
            "idempotency-key": '"8e03978e-40d5"',
        }
    )

    assert terms.lines
    assert terms.expired()
    assert terms.key == '"8e03978e-40d5"'


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 415),
        ({"content-type": "text/plain"}, 415),
        (JSON | {"content-encoding": "gzip"}, 415),
        (JSON | {"x-deadline-ms": "soon"}, 422),
        (JSON | {"x-deadline-ms": "-1"}, 422),
        (JSON | {"x-deadline-ms": "²"}, 422),
        (JSON | {"x-deadline-ms": "9" * 13}, 422),
        (JSON | {"idempotency-key": ""}, 422),
        (JSON | {"idempotency-key": "a b"}, 422),
        (JSON | {"idempotency-key": "é"}, 422),
        (JSON | {"idempotency-key": "k" * 201}, 422),
    ],
)
def test_headers_that_cannot_be_used_are_refused_with_their_status(headers: dict[str, str], status: int) -> None:
    with pytest.raises(BadRequest) as caught:
        Terms.of(headers)

    assert caught.value.status == status
