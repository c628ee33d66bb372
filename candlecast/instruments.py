"""The instruments: data in a TOML file, checked when it is read.

The shipped `instruments.toml` holds the 23 that are forecast, the leaders that the event encoder watches,
and a few daily series beside them. A file of the same form may take its place.
"""

import tomllib
from collections import Counter
from dataclasses import MISSING, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, get_args

from candlecast.errors import CandlecastError

AssetClass = Literal["crypto", "forex_commodity", "equity"]
ASSET_CLASSES: Final[tuple[str, ...]] = get_args(AssetClass)
LEADERS: Final = ("BTC", "SPY", "DXY", "VIX")


class BadInstruments(CandlecastError):
    """The instruments file says something that cannot be."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One tradable series at one venue.

    calendar : name of the sessions its bars follow, see `candlecast.venues`
    provider, provider_symbol : where fresh bars come from and what the series is called there
    quote_asset : what prices are counted in
    forecast : whether forecasts are issued for it
    leader : which of LEADERS it is for the event encoder, if any
    negative_prices : whether a price of zero or less is a price (crude futures, 2020-04-20) or an error
    settle_s : seconds after its close until a bar is taken to be final
    """

    symbol: str
    name: str
    asset_class: AssetClass
    calendar: str
    provider: str
    provider_symbol: str
    quote_asset: str
    forecast: bool = True
    leader: str | None = None
    enabled: bool = True
    negative_prices: bool = False
    settle_s: int = 60


def load_instruments(path: Path | None = None) -> tuple[Instrument, ...]:
    """The instruments of the TOML file at `path`, or of the shipped one, in the order of the file.

    Raises
    ------
    BadInstruments : the file is missing or no TOML, or an entry lacks a field, has an unknown or ill-typed one,
        repeats a symbol or a leader, or names a class that does not exist.
    """
    source = path if path is not None else files("candlecast") / "instruments.toml"
    try:
        document = tomllib.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInstruments(f"there is no instruments file at {source}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInstruments(f"{source} is not TOML: {error}") from error

    defaults = document.get("defaults", {})
    entries = document.get("instruments", [])
    if not isinstance(defaults, dict) or not isinstance(entries, list) or not entries:
        raise BadInstruments(f"{source} has no [[instruments]]; compare it with candlecast/instruments.toml")
    instruments = tuple(_instrument(entry, defaults, source) for entry in entries)
    _refuse_repeated("symbol", [instrument.symbol for instrument in instruments], source)
    _refuse_repeated("leader", [instrument.leader for instrument in instruments if instrument.leader], source)
    return instruments


def _instrument(entry: Any, defaults: dict[str, Any], source: object) -> Instrument:
    if not isinstance(entry, dict):
        raise BadInstruments(f"{source}: {entry!r} is not a table; write it as [[instruments]]")
    values = {**defaults.get(str(entry.get("asset_class")), {}), **entry}
    who = f"{source}: instrument {values.get('symbol', '(without symbol)')}"
    known = {field.name: field for field in fields(Instrument)}

    unknown = sorted(values.keys() - known.keys())
    if unknown:
        raise BadInstruments(f"{who} has the unknown field {', '.join(unknown)}; fields are {', '.join(known)}")
    lacking = [name for name, field in known.items() if field.default is MISSING and name not in values]
    if lacking:
        raise BadInstruments(f"{who} lacks {', '.join(lacking)}")
    for name, value in values.items():
        expected = {"bool": bool, "int": int}.get(getattr(known[name].type, "__name__", ""), str)
        if type(value) is not expected or value == "":
            raise BadInstruments(f"{who} has {name} = {value!r}, which has to be a {expected.__name__}")
    if values["asset_class"] not in ASSET_CLASSES:
        raise BadInstruments(f"{who} is of class {values['asset_class']!r}; classes are {', '.join(ASSET_CLASSES)}")
    if values.get("leader") is not None and values["leader"] not in LEADERS:
        raise BadInstruments(f"{who} leads as {values['leader']!r}; leaders are {', '.join(LEADERS)}")
    if values.get("settle_s", 0) < 0:
        raise BadInstruments(f"{who} settles after {values['settle_s']} seconds; it takes 0 or more")
    return Instrument(**values)


def _refuse_repeated(field: str, values: list[str], source: object) -> None:
    repeated = sorted(value for value, count in Counter(values).items() if count > 1)
    if repeated:
        raise BadInstruments(f"{source} has the {field} {', '.join(repeated)} more than once; keep one of them")
