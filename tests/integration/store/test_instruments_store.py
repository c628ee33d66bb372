"""The instruments file and the table it is loaded into."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, text

from candlecast.instruments import Instrument, load_instruments
from candlecast.store.instruments import SyncCounts, read_instruments, upsert_instruments

SHIPPED = load_instruments()


def sync(engine: Engine, *instruments: Instrument) -> SyncCounts:
    with engine.begin() as conn:
        return upsert_instruments(conn, instruments)


def stored(engine: Engine) -> dict[str, Instrument]:
    with engine.connect() as conn:
        return {instrument.symbol: instrument for instrument in read_instruments(conn)}


def test_what_the_file_says_is_what_is_read_back(engine: Engine) -> None:
    assert sync(engine, *SHIPPED) == SyncCounts(inserted=30, updated=0, unchanged=0)
    assert stored(engine) == {instrument.symbol: instrument for instrument in SHIPPED}


def test_loading_it_again_touches_no_row(engine: Engine) -> None:
    sync(engine, *SHIPPED)

    assert sync(engine, *SHIPPED) == SyncCounts(inserted=0, updated=0, unchanged=30)


def test_the_file_decides_for_its_symbols_and_leaves_others_alone(engine: Engine) -> None:
    own = replace(SHIPPED[0], symbol="PEPEUSDT", leader=None)
    sync(engine, *SHIPPED, own)
    with engine.begin() as conn:
        conn.execute(text("UPDATE candlecast.instruments SET settle_s = 999 WHERE symbol IN ('SPY', 'PEPEUSDT')"))

    assert sync(engine, *SHIPPED) == SyncCounts(inserted=0, updated=1, unchanged=29)
    assert {symbol: stored(engine)[symbol].settle_s for symbol in ("SPY", "PEPEUSDT")} == {"SPY": 60, "PEPEUSDT": 999}


@pytest.mark.parametrize("order", [1, -1])
def test_two_symbols_may_exchange_the_role_of_a_leader(engine: Engine, order: int) -> None:
    sync(engine, *SHIPPED)
    by_symbol = {instrument.symbol: instrument for instrument in SHIPPED}
    swapped = [replace(by_symbol["SPY"], leader="VIX"), replace(by_symbol["VIX"], leader="SPY")][::order]

    sync(engine, *swapped)

    assert [stored(engine)[symbol].leader for symbol in ("SPY", "VIX")] == ["VIX", "SPY"]
