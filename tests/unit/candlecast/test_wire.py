import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from candlecast import wire
from candlecast.fields import MessageError
from candlecast.forecasts import LEVELS, Forecast, ModelInfo, Refusal, Series
from candlecast.wire import BadItem, End, Heartbeat, ItemLine, PredictRequest

ISSUED = datetime(2025, 3, 1, 9, tzinfo=UTC)
HORIZON = 3


def series(symbol: str = "BTCUSDT", n_bars: int = 5, events: bool = False) -> Series:
    hours = np.datetime64("2025-03-01T04:00:00") + np.arange(n_bars + HORIZON) * np.timedelta64(3600, "s")
    bars = np.linspace(0.1, 1e6, n_bars * 6).reshape(n_bars, 6)
    tensor = np.linspace(-1, 1, (n_bars + HORIZON) * 20, dtype=np.float32).reshape(-1, 20) if events else None
    return Series(symbol, "1h", ISSUED, bars, hours[:n_bars], hours[n_bars:], tensor)


def request(*items: Series) -> PredictRequest:
    return PredictRequest("baseline-rw", "1h", HORIZON, 10, 7, items)


def forecast(fan: np.ndarray | None = None, paths: np.ndarray | None = None) -> Forecast:
    fan = np.tile(np.array(LEVELS), (HORIZON, 1)) if fan is None else fan
    return Forecast("BTCUSDT", "1h", ISSUED, "baseline-rw", "abc", 2**63 - 1, fan, paths)


def fields_of(body: bytes) -> dict[str, Any]:
    return dict(orjson.loads(body))


def believed(line: bytes, **wanted: Any) -> Any:
    said = wire.parse_line(line)
    assert isinstance(said, ItemLine)
    return wire.result_of(
        said,
        wanted.pop("series", series()),
        **({"model_name": "baseline-rw", "horizon": HORIZON, "n_paths": 2} | wanted),
    )


# -- round trips -------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.from_regex(r"[A-Z0-9][A-Z0-9._-]{0,31}", fullmatch=True),
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(lambda at: at.replace(microsecond=0, tzinfo=UTC)),
    hnp.arrays(np.float64, (4, 6), elements=st.floats(allow_nan=False, allow_infinity=False)),
    st.none()
    | hnp.arrays(np.float32, (4 + HORIZON, 20), elements=st.floats(allow_nan=False, allow_infinity=False, width=32)),
    st.integers(0, 2**63 - 1),
)
def test_a_request_arrives_bit_for_bit(
    symbol: str, issued_at: datetime, bars: np.ndarray, events: np.ndarray | None, base_seed: int
) -> None:
    sent = replace(series(n_bars=4), symbol=symbol, issued_at=issued_at, ohlcv=bars, events=events)

    arrived = wire.parse_request(wire.encode_request(replace(request(sent), base_seed=base_seed)))

    (one,) = arrived.items
    assert isinstance(one, Series), one
    assert (one.symbol, one.interval, one.issued_at, arrived.base_seed) == (symbol, "1h", issued_at, base_seed)
    assert one.ohlcv.tobytes() == bars.tobytes()
    assert (one.opened_at == sent.opened_at).all()
    assert (one.target_opened_at == sent.target_opened_at).all()
    assert (one.events is None) == (events is None)
    assert one.events is None or events is None or one.events.tobytes() == events.tobytes()


@settings(deadline=None)
@given(
    hnp.arrays(np.float64, (HORIZON, 11), elements=st.floats(allow_nan=False, allow_infinity=False)),
    hnp.arrays(np.float32, (2, HORIZON), elements=st.floats(allow_nan=False, allow_infinity=False, width=32)),
    st.integers(0, 2**63 - 1),
)
def test_a_forecast_arrives_bit_for_bit(values: np.ndarray, paths: np.ndarray, seed: int) -> None:
    sent = replace(forecast(np.sort(values, axis=1), paths), seed=seed)

    arrived = believed(wire.encode(wire.item_fields(0, sent)))

    assert isinstance(arrived, Forecast)
    assert arrived.fan.tobytes() == sent.fan.tobytes()
    assert arrived.paths is not None
    assert arrived.paths.tobytes() == paths.tobytes()
    assert (arrived.model_version, arrived.seed) == ("abc", seed)


def test_a_refusal_arrives_with_its_code_and_sentence() -> None:
    sent = Refusal("BTCUSDT", "1h", ISSUED, "too_few_bars", "BTCUSDT: 3 bars")

    assert believed(wire.encode(wire.item_fields(0, sent))) == sent


def test_paths_are_left_out_when_they_are_not_wanted() -> None:
    made = forecast(paths=np.ones((2, HORIZON), np.float32))

    assert "paths" in wire.item_fields(0, made)
    assert "paths" not in wire.item_fields(0, made, return_paths=False)


def test_heartbeats_and_ends_are_told_apart() -> None:
    assert wire.parse_line(wire.encode(wire.heartbeat_fields())) == Heartbeat()
    for end in (End(3, 1), End(0, 0, "deadline")):
        assert wire.parse_line(wire.encode(wire.end_fields(end))) == end


def test_a_list_of_models_arrives_as_it_was() -> None:
    models = [
        ModelInfo("kronos-mini", "ab" * 32, 2048, True, "bitwise", "weights of somebody"),
        ModelInfo("baseline-rw", "cd" * 32, None, False, "tolerance", "a walk", gives_quantiles=True),
    ]

    assert wire.parse_models(wire.encode(wire.models_fields(models))) == models


# -- requests from strangers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_name": 5}, "model_name is 5"),
        ({"interval": "5m"}, "interval is '5m', needed is one of 1h, 1d"),
        ({"interval": ["1h"]}, "interval"),
        ({"horizon": 0}, "horizon is 0, needed is a whole number from 1"),
        ({"horizon": 3.0}, "horizon is 3.0"),
        ({"horizon": True}, "horizon is True"),
        ({"n_paths": -1}, "n_paths"),
        ({"n_paths": 10_000, "horizon": 1_000}, "ask for fewer paths"),
        ({"base_seed": 2**63}, "base_seed"),
        ({"return_paths": 1}, "return_paths"),
        ({"items": []}, "a list of 0"),
        ({"items": {}}, "items is {}"),
    ],
)
def test_an_envelope_that_cannot_be_used_is_refused_whole(change: dict[str, Any], words: str) -> None:
    body = orjson.dumps(fields_of(wire.encode_request(request(series()))) | change)

    with pytest.raises(MessageError) as caught:
        wire.parse_request(body)

    assert words in str(caught.value)
    assert caught.value.kind == "content"


@pytest.mark.parametrize("version", [0, 2, "1", True, None])
def test_each_side_refuses_another_version_with_a_sentence_and_the_kind_that_says_so(version: Any) -> None:
    asked = fields_of(wire.encode_request(request(series())))
    told = [wire.models_fields([]), wire.item_fields(0, forecast()), wire.heartbeat_fields()]
    readers = [(wire.parse_request, asked), (wire.parse_models, told[0])]
    readers += [(wire.parse_line, line) for line in told[1:]]  # type: ignore[list-item]

    for read, fields in readers:
        assert fields["protocol"] == 1
        with pytest.raises(MessageError, match=r"speaks protocol .*, this (server|client) speaks 1; update") as caught:
            read(wire.encode(dict(fields) | {"protocol": version}))
        assert caught.value.kind == "version"


def test_fields_that_nobody_knows_yet_are_left_unread() -> None:
    asked = fields_of(wire.encode_request(request(series())))
    asked["surprise"] = {"a": [1]}
    asked["items"][0]["surprise"] = None
    answer = wire.item_fields(0, forecast()) | {"surprise": 1}
    listed = wire.models_fields([ModelInfo("m", "v", None, False, "bitwise", "")])
    listed["models"][0]["surprise"] = listed["surprise"] = 1

    (item,) = wire.parse_request(orjson.dumps(asked)).items
    assert isinstance(item, Series)
    assert isinstance(believed(wire.encode(answer)), Forecast)
    assert wire.parse_line(b'{"type":"heartbeat","surprise":1}') == Heartbeat()
    assert wire.parse_line(b'{"type":"end","n_ok":1,"n_failed":0,"surprise":1}') == End(1, 0)
    assert [one.name for one in wire.parse_models(wire.encode(listed))] == ["m"]


@pytest.mark.parametrize("name", ["symbol", "issued_at", "ohlcv", "opened_at", "target_opened_at"])
def test_a_missing_field_makes_one_bad_item_that_names_it(name: str) -> None:
    asked = fields_of(wire.encode_request(request(series("A"), series("B"))))
    del asked["items"][0][name]

    bad, good = wire.parse_request(orjson.dumps(asked)).items

    assert isinstance(bad, BadItem)
    assert f"{name} is None" in bad.message
    assert isinstance(good, Series)


@pytest.mark.parametrize("name", ["model_name", "interval", "horizon", "n_paths", "items"])
def test_a_missing_field_of_the_envelope_is_named(name: str) -> None:
    asked = fields_of(wire.encode_request(request(series())))
    del asked[name]

    with pytest.raises(MessageError, match=f"{name} is None"):
        wire.parse_request(orjson.dumps(asked))


def test_items_joined_as_bytes_are_the_request_that_is_encoded_at_once() -> None:
    items = [series("A"), series("B", events=True)]

    joined = wire.join_request(request(), [wire.encode_item(one) for one in items])

    assert joined == wire.encode_request(request(*items))
    assert orjson.loads(wire.encode_item(items[1], events=False))["events"] is None


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"horizon": NaN}'])
def test_what_is_not_json_is_told_apart_from_what_makes_no_sense(body: bytes) -> None:
    with pytest.raises(MessageError) as caught:
        wire.parse_request(body)

    assert caught.value.kind == "syntax"


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"text"'])
def test_a_request_is_an_object(body: bytes) -> None:
    with pytest.raises(MessageError, match="needed is a JSON object"):
        wire.parse_request(body)


BAD_ITEMS: list[tuple[dict[str, Any], str]] = [
    ({"symbol": "btc usd"}, "symbol is 'btc usd'"),
    ({"symbol": "A" * 33}, "symbol"),
    ({"symbol": "BTCUSDT\n"}, "symbol"),
    ({"symbol": None}, "symbol is None"),
    ({"issued_at": "2025-03-01T09:00:00"}, "issued_at is '2025-03-01T09:00:00', needed is a UTC time"),
    ({"issued_at": "0001-01-01T00:00:00+14:00"}, "issued_at"),
    ({"issued_at": "2025-03-01T09:00:00.5Z"}, "issued_at"),
    ({"issued_at": 5}, "issued_at"),
    ({"ohlcv": "x"}, "ohlcv is 'x'"),
    ({"ohlcv": [[1, 2, 3, 4, 5, 6], [1, 2]]}, "ohlcv has rows of different lengths"),
    ({"ohlcv": [["1", "2", "3", "4", "5", "6"]] * 5}, "ohlcv is a list of 5, needed is a list of numbers"),
    ({"ohlcv": [[1, 2, 3, 4, 5, None]] * 5}, "ohlcv"),
    ({"ohlcv": [[True] * 6] * 5}, "ohlcv"),
    ({"ohlcv": [[2**64, 2, 3, 4, 5, 6]] * 5, "opened_at": "x"}, "opened_at"),
    ({"ohlcv": [[1, 2, 3, 4, 5]] * 5}, "shape (5, 5)"),
    ({"ohlcv": []}, "shape (0,)"),
    ({"opened_at": [1.5] * 5}, "opened_at"),
    ({"opened_at": [10**30] * 5}, "opened_at"),
    ({"opened_at": [1_700_000_000_000] * 5}, "opened_at"),
    ({"opened_at": [5, 4, 3, 2, 1]}, "do not rise"),
    ({"target_opened_at": [1]}, "1 target bars for a horizon of 3"),
    ({"events": [[0.0] * 19] * 8}, "events have shape (8, 19)"),
    ({"events": [[1e300] * 20] * 8}, "not finite"),
]


@pytest.mark.parametrize(("change", "words"), BAD_ITEMS)
def test_a_bad_item_says_what_is_wrong_and_leaves_the_others_alone(change: dict[str, Any], words: str) -> None:
    fields = fields_of(wire.encode_request(request(series("A"), series("B"), series("C"))))
    fields["items"][1] |= change

    first, bad, last = wire.parse_request(orjson.dumps(_as_json(fields))).items

    assert isinstance(first, Series)
    assert isinstance(last, Series)
    assert isinstance(bad, BadItem)
    assert words in bad.message
    assert len(bad.message) < 300


def _as_json(value: Any) -> Any:
    """Integers that orjson does not write, as floats that read back as large."""
    if isinstance(value, dict):
        return {name: _as_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_as_json(one) for one in value]
    return float(value) if isinstance(value, int) and abs(value) >= 2**63 else value


@pytest.mark.parametrize("item", [None, 1, "x", [], {}])
def test_an_item_that_is_no_object_is_a_bad_item(item: Any) -> None:
    fields = fields_of(wire.encode_request(request(series())))
    fields["items"].append(item)

    assert isinstance(wire.parse_request(orjson.dumps(fields)).items[1], BadItem)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=4),
)


@settings(deadline=None)
@given(st.sampled_from(["symbol", "issued_at", "ohlcv", "opened_at", "target_opened_at", "events"]), JSON_VALUES)
def test_no_value_of_an_item_gets_past_its_item(name: str, value: Any) -> None:
    fields = fields_of(wire.encode_request(request(series("A"), series("B"))))
    fields["items"][0][name] = value

    parsed = wire.parse_request(orjson.dumps(fields)).items

    assert isinstance(parsed[1], Series)


@settings(deadline=None)
@given(st.binary(max_size=200) | JSON_VALUES.map(orjson.dumps))
def test_garbage_is_an_error_and_never_a_crash(body: bytes) -> None:
    for read in (wire.parse_request, wire.parse_models):
        with pytest.raises(MessageError):
            read(body)


# -- answers from strangers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"symbol": "ETHUSDT"}, "symbol 'ETHUSDT', asked was BTCUSDT"),
        ({"issued_at": "2025-03-01T10:00:00Z"}, "issued_at"),
        ({"interval": "1d"}, "interval"),
        ({"model_name": "kronos-base"}, "model_name 'kronos-base', asked was baseline-rw"),
        ({"model_version": ""}, "model_version"),
        ({"seed": -1}, "seed"),
        ({"seed": None}, "seed"),
        ({"fan": [[0.0] * 11] * 2}, "shape (2, 11)"),
        ({"fan": [[0.0] * 10] * 3}, "shape (3, 10)"),
        ({"fan": [[0.0] * 10 + [None]] * 3}, "fan"),
        ({"fan": [[1.0] * 10 + [0.5]] * 3}, "falls along the levels at step 1"),
        ({"paths": [[1.0] * 3]}, "1 paths, asked were 2"),
        ({"paths": [[1.0] * 2] * 2}, "paths have shape (2, 2)"),
        ({"paths": [[1e300] * 3] * 2}, "not finite"),
        ({"p10": [0.0] * 3}, "p10 is not the column"),
        ({"p90": [0.9] * 2}, "p90 is not the column"),
        ({"error": "x"}, "error"),
        ({"error": {"code": 1, "message": "x"}}, "code and message"),
    ],
)
def test_an_answer_that_cannot_be_true_is_not_believed(change: dict[str, Any], words: str) -> None:
    fields = fields_of(wire.encode(wire.item_fields(0, forecast(paths=np.ones((2, HORIZON), np.float32)))))

    with pytest.raises(MessageError) as caught:
        believed(orjson.dumps(copy.deepcopy(fields) | change))

    assert words in str(caught.value)


@pytest.mark.parametrize("line", [b"", b"x", b"[]", b"{}", b'{"type":"other"}', b'{"type":"item"}', b'{"type":"end"}'])
def test_a_line_that_says_nothing_known_is_an_error(line: bytes) -> None:
    with pytest.raises(MessageError):
        wire.parse_line(line)


def test_instants_are_written_in_utc_and_read_with_any_offset() -> None:
    assert wire.instant_text(ISSUED) == "2025-03-01T09:00:00Z"
    assert wire.parse_instant("2025-03-01T18:00:00+09:00", "at") == ISSUED
    assert wire.parse_instant(wire.instant_text(ISSUED + timedelta(days=1)), "at") == ISSUED + timedelta(days=1)
