"""The report as text that a reader can follow without the code."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

Cell = dict[str, Any]
RECORDS: Final = {
    "live": "issued before the outcome",
    "late": "recorded after the first target had closed; never part of the live record",
    "replay": "made afterwards from what was known then; never part of the live record",
    "synthetic": "generated bars; says nothing about a market",
}


def markdown(report: Cell, pictures: Mapping[str, Sequence[str]]) -> str:
    """The whole text; `pictures` by record."""
    lines = [
        f"# How good the forecasts are, as of {report['as_of'][:16]}Z",
        "",
        "Every number stands beside its 95 % interval; a dash is what the record is too short to say. Intervals take "
        "what was judged on one day as one observation and allow for horizons that overlap. The formulas are in "
        "docs/methodology.md; every class of every baseline, and all else, in report.json.",
        "",
    ]
    if not report["cells"]:
        return "\n".join([*lines, "Nothing has been judged yet.", ""])
    for record in report["records"]:
        lines += [f"## Record: {record} ({RECORDS.get(record, record)})", ""]
        lines += _verdicts([row for row in report["verdicts"] if row["record"] == record])
        lines += _coverage([cell for cell in report["cells"] if cell["record"] == record])
        lines += _direction([cell for cell in report["cells"] if cell["record"] == record])
        lines += _sharpe([cell for cell in report["sharpe"] if cell["record"] == record])
        lines += [f"![{name}]({name})" for name in pictures.get(record, ())] + [""]
    lines += _alarms(report["leak_alarms"]) + _voids(report["voids"]) + _five(report["five_tests"])
    return "\n".join(lines)


def _verdicts(rows: Sequence[Cell]) -> list[str]:
    shown = _in_order([row for row in rows if row["skill"] is not None])
    if not shown:
        return ["No model was judged beside `baseline-rw` yet.", ""]
    head = [
        f"### Skill beside baseline-rw ({rows[0]['n_cells']} cells judged together)",
        "",
        "CRPS of the model's own paths; 0 is no better. The sequence is the interval that stays valid however often "
        "one looks; the verdict holds for all cells together.",
        "",
        "| model | bars | class | step | skill | interval, one look | sequence | n_eff | verdict | days to go |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return [
        *head,
        *(
            f"| {row['model_name']} | {row['interval']} | {row['asset_class']} | {row['step'] or 'all'} "
            f"| {_percent(row['skill'])} | {_range(row['low'], row['high'])} | {_range(row['cs_low'], row['cs_high'])} "
            f"| {row['n_eff']:,.1f} | {row['verdict'].replace('_', ' ')} | {_days(row['days_to_decision'])} |"
            for row in shown
        ),
        "",
    ]


def _coverage(cells: Sequence[Cell]) -> list[str]:
    head = [
        "### The 80 % band",
        "",
        "| model | bars | class | step | n | inside | as the model gave it | below | above | interval score | raw "
        "| beside baseline-rw |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    return [
        *head,
        *(
            f"{_who(cell)} | {cell['n']:,} | {_estimate(cell['coverage']['inside'])} "
            f"| {_estimate(cell['raw_coverage']['inside'])} "
            f"| {_percent(cell['coverage']['below']['value'], sign=False)} "
            f"| {_percent(cell['coverage']['above']['value'], sign=False)} | {cell['interval_score']:.3f} "
            f"| {cell['raw_interval_score']:.3f} | {_estimate(cell['interval_skill'], sign=True)} |"
            for cell in _in_order(cells)
        ),
        "",
    ]


def _direction(cells: Sequence[Cell]) -> list[str]:
    shown = _in_order([cell for cell in cells if cell["asset_class"] == "all"])
    head = [
        "### Direction",
        "",
        "Hits beyond the better of always up and always down, and beyond what unrelated signals with the same shares "
        "would hit (Pesaran and Timmermann).",
        "",
        "| model | bars | class | step | hit rate | above naive | above unrelated | p | Brier |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return [
        *head,
        *(
            f"{_who(cell)} | {_estimate(cell['hit_rate'])} | {_estimate(cell['hits_above_naive'], sign=True)} "
            f"| {_estimate(cell['pesaran_timmermann'], sign=True)} | {cell['pesaran_timmermann']['p_value']:.2f} "
            f"| {_number(cell['brier'])} |"
            for cell in shown
        ),
        "",
    ]


def _sharpe(cells: Sequence[Cell]) -> list[str]:
    shown = _in_order([cell for cell in cells if cell["asset_class"] == "all"])
    if not shown:
        return []
    costs = list(shown[0]["sharpe"])
    head = [
        f"### Sharpe ratio of the calendar-time portfolio ({shown[0]['n_trials']} tried)",
        "",
        f"Annual, at costs of {', '.join(costs)} per position changed. The last column is the probability that the "
        "ratio before costs beats what the best of as many portfolios without skill would show.",
        "",
        "| model | bars | class | step | days | " + " | ".join(f"at {cost}" for cost in costs) + " | deflated |",
        "|---" * (6 + len(costs)) + "|",
    ]
    return [
        *head,
        *(
            f"{_who(cell)} | {cell['n_days']} | "
            + " | ".join(_ratio(cell["sharpe"][cost]) for cost in costs)
            + f" | {_number(cell['deflated'])} |"
            for cell in shown
        ),
        "",
    ]


def _alarms(alarms: Sequence[Cell]) -> list[str]:
    if not alarms:
        return [
            "## Leak alarm",
            "",
            "None: no served band is better than the best baseline's beyond what is honest.",
            "",
        ]
    return [
        "## LEAK ALARM",
        "",
        "These served bands are more than 5 % better than the best baseline's, beyond sampling error. Look for a leak "
        "before anything else.",
        "",
        *(
            f"- {_plain(one)}: {one['interval_score']:.3f} against {one['baseline_score']:.3f} "
            f"of {one['best_baseline']}"
            for one in alarms
        ),
        "",
    ]


def _voids(voids: Sequence[Cell]) -> list[str]:
    head = ["## Voids", "", "Pairs that are not judged, by rules that were fixed before any forecast was issued.", ""]
    if not voids:
        return [*head, "None.", ""]
    return [
        *head,
        "| model | bars | record | reason | pairs |",
        "|---|---|---|---|---|",
        *(f"| {v['model_name']} | {v['interval']} | {v['record']} | {v['reason']} | {v['n']} |" for v in voids),
        "",
    ]


def _five(tests: Cell) -> list[str]:
    lines = ["## The five tests of the original plan", ""]
    lines += ["### 1 The band is wider on event days (gate 1.5)", ""]
    lines += _table(
        tests["1 envelope"], ("model_name", "interval", "record", "family", "n_events"), "ratio", percent=False
    )
    lines += ["### 2 The median moves the way of a surprise (gate 60 %)", ""]
    lines += _table(
        tests["2 direction after a surprise"], ("model_name", "interval", "record", "step", "n_events"), "share"
    )
    lines += ["### 3 Quiet days: the event model beside its base (gate: error at most 2 % higher)", ""]
    lines += _table(tests["3 quiet days"], ("interval", "record", "step"), "gain") or []
    lines += ["### 4 Trading narrow bands only (gate: event model at least its base)", ""]
    lines += _table(
        tests["4 narrow bands"]["event_against_base"], ("interval", "record", "step", "against"), "gain", percent=False
    )
    narrow = _in_order([cell for cell in tests["4 narrow bands"]["sharpe"] if cell["asset_class"] == "all"])
    if narrow:
        costs = list(narrow[0]["sharpe"])
        lines += [
            "| model | bars | class | step | record | " + " | ".join(f"Sharpe at {cost}" for cost in costs) + " |"
        ]
        lines += ["|---" * (5 + len(costs)) + "|"]
        lines += [
            f"{_who(cell)} | {cell['record']} | " + " | ".join(_ratio(cell["sharpe"][cost]) for cost in costs) + " |"
            for cell in narrow
        ]
        lines += [""]
    lines += ["### 5 The ensemble beside the best single model (gate +0.1)", ""]
    lines += _table(tests["5 ensemble"], ("interval", "record", "step", "against"), "gain", percent=False)
    return lines


def _table(rows: Sequence[Cell], names: Sequence[str], value: str, *, percent: bool = True) -> list[str]:
    if not rows:
        return ["Not applicable: the models or events that it is about have no rows at this moment.", ""]
    return [
        "| " + " | ".join(name.replace("_name", "").replace("_", " ") for name in names) + f" | {value} | gate |",
        "|---" * (len(names) + 2) + "|",
        *(
            "| "
            + " | ".join(str(row[name]) for name in names)
            + f" | {_estimate(row[value]) if percent else _ratio(row[value])} | {row['gate']} |"
            for row in rows
        ),
        "",
    ]


def _in_order(cells: Sequence[Cell]) -> list[Cell]:
    """Models before baselines, pooled before single classes; of a baseline the pooled cells only."""
    shown = [cell for cell in cells if cell["asset_class"] == "all" or not _is_baseline(cell)]
    return sorted(
        shown,
        key=lambda cell: (
            _is_baseline(cell),
            cell["model_name"],
            cell["interval"] == "1d",
            cell["asset_class"] != "all",
            cell["asset_class"],
            cell["step"],
        ),
    )


def _is_baseline(cell: Cell) -> bool:
    name: str = cell["model_name"]
    return name.startswith("baseline-")


def _who(cell: Cell) -> str:
    return f"| {cell['model_name']} | {cell['interval']} | {cell['asset_class']} | {cell['step']}"


def _plain(cell: Cell) -> str:
    return f"{cell['model_name']} {cell['interval']} {cell['asset_class']} step {cell['step']} ({cell['record']})"


def _estimate(estimate: Cell, *, sign: bool = False) -> str:
    value = _percent(estimate["value"], sign=sign)
    interval = _range(estimate["low"], estimate["high"], sign=sign)
    return value if interval == "–" else f"{value} ({interval})"


def _ratio(estimate: Cell) -> str:
    if estimate["value"] is None:
        return "–"
    if estimate["low"] is None or estimate["high"] is None:
        return f"{estimate['value']:.2f}"
    return f"{estimate['value']:.2f} ({estimate['low']:.2f} to {estimate['high']:.2f})"


def _percent(value: float | None, *, sign: bool = True) -> str:
    return "–" if value is None else f"{100 * value:{'+' if sign else ''}.1f} %"


def _range(low: float | None, high: float | None, *, sign: bool = True) -> str:
    return "–" if low is None or high is None else f"{_percent(low, sign=sign)} to {_percent(high, sign=sign)}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _days(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"
