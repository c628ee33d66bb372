"""The shipped instruments and what a wrong file is told."""

from collections import Counter
from pathlib import Path

import pytest

from candlecast.instruments import BadInstruments, load_instruments
from candlecast.sessions import Sessions

GOOD = """
[defaults.crypto]
calendar = "24/7"
provider = "binance"
quote_asset = "USDT"

[[instruments]]
symbol = "BTCUSDT"
name = "Bitcoin"
asset_class = "crypto"
provider_symbol = "BTCUSDT"
leader = "BTC"
"""


def read(tmp_path: Path, text: str) -> str:
    path = tmp_path / "instruments.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInstruments) as caught:
        load_instruments(path)
    return str(caught.value)


def test_23_instruments_are_forecast_in_three_classes() -> None:
    forecast = [instrument for instrument in load_instruments() if instrument.forecast and instrument.enabled]

    assert Counter(instrument.asset_class for instrument in forecast) == {
        "crypto": 10,
        "equity": 8,  # five shares, two funds, one index
        "forex_commodity": 5,
    }
    assert (
        sum(instrument.symbol in {"AAPL", "NVDA", "TSLA", "MSFT", "GOOGL", "SPY", "QQQ"} for instrument in forecast)
        == 7
    )


def test_each_leader_is_one_instrument() -> None:
    assert {instrument.leader: instrument.symbol for instrument in load_instruments() if instrument.leader} == {
        "BTC": "BTCUSDT",
        "SPY": "SPY",
        "DXY": "DXY",
        "VIX": "VIX",
    }


def test_only_the_crude_futures_may_cost_less_than_nothing() -> None:
    assert [instrument.symbol for instrument in load_instruments() if instrument.negative_prices] == ["CL"]


def test_every_shipped_calendar_is_known() -> None:
    for calendar in {instrument.calendar for instrument in load_instruments()}:
        assert Sessions.of(calendar).calendar == calendar


def test_what_a_class_says_an_instrument_may_overrule(tmp_path: Path) -> None:
    path = tmp_path / "instruments.toml"
    path.write_text(GOOD + 'calendar = "24/5"\n', encoding="utf-8")

    (bitcoin,) = load_instruments(path)

    assert (bitcoin.calendar, bitcoin.provider, bitcoin.enabled) == ("24/5", "binance", True)


@pytest.mark.parametrize(
    ("addition", "sentence"),
    [
        ("colour = 'red'", "instrument BTCUSDT has the unknown field colour"),
        ("settle_s = '60'", "has settle_s = '60', which has to be a int"),
        ("settle_s = true", "has settle_s = True, which has to be a int"),
        ("settle_s = -1", "settles after -1 seconds"),
        ("forecast = 1", "has forecast = 1, which has to be a bool"),
        (GOOD.split("\n\n")[1], "the symbol BTCUSDT more than once"),
        (GOOD.split("\n\n")[1].replace("BTCUSDT", "XBT"), "the leader BTC more than once"),
        ("[[instruments]]\nsymbol = 'X'", "instrument X lacks name, asset_class, calendar"),
        ("= 3", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_field_named(tmp_path: Path, addition: str, sentence: str) -> None:
    assert sentence in read(tmp_path, GOOD + addition + "\n")


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ('asset_class = "crypto"', 'asset_class = "bond"', "lacks calendar, provider, quote_asset"),
        ('leader = "BTC"', 'leader = "GOLD"', "leads as 'GOLD'; leaders are BTC, SPY, DXY, VIX"),
        ('name = "Bitcoin"', 'name = ""', "has name = ''"),
    ],
)
def test_a_wrong_value_is_refused(tmp_path: Path, before: str, after: str, sentence: str) -> None:
    assert sentence in read(tmp_path, GOOD.replace(before, after))


def test_an_empty_or_absent_file_is_refused(tmp_path: Path) -> None:
    assert "has no [[instruments]]" in read(tmp_path, "")
    with pytest.raises(BadInstruments, match="there is no instruments file at"):
        load_instruments(tmp_path / "nowhere.toml")
