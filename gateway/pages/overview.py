"""The page at `/`: every instrument with its newest forecast in words and numbers; no script, no inline style."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Final
from urllib.parse import quote

from candlecast.freshness import freshness
from gateway.answers import Moment
from gateway.content.overview import Listed, Outline
from gateway.content.verdicts import BASELINE, Verdict, subject
from gateway.pages.assets import VERSION

CLASSES: Final[dict[str, str]] = {
    "crypto": "Crypto",
    "forex_commodity": "Currencies and commodities",
    "equity": "Stocks, funds and indices",
}
MINUS: Final = "\N{MINUS SIGN}"


def draw_page(listed: Sequence[Listed], moment: Moment, verdicts: Sequence[Verdict] | None) -> bytes:
    """The whole page as of `moment`, UTF-8; `verdicts` is None where they cannot be read."""
    now = datetime.fromtimestamp(moment.second, UTC)
    shown = [item for item in listed if item.enabled and (item.forecast or item.outlines)]
    sections = "".join(
        _section(CLASSES.get(name, name), [item for item in shown if item.asset_class == name], now)
        for name in [*CLASSES, *sorted({item.asset_class for item in shown} - set(CLASSES))]
    )
    body = _notices(shown, moment, now) + _comparison(shown, verdicts) + (sections or _nothing())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Candlecast: the newest forecasts</title>
<link rel="icon" href="/assets/{VERSION}/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/{VERSION}/page.css">
</head>
<body>
<header>
<h1>Candlecast</h1>
<p>Forecasts of the next bars, issued before they happen. Each one is a range: the median, and the band that should
hold the price four times out of five.</p>
<nav><a href="/showcase/instruments">Instruments</a> <a href="/showcase/models">Models</a>
<a href="/showcase/performance">Track record</a> <a href="/openapi.json">API</a></nav>
</header>
<main>
{body}
</main>
<footer><p>As of {now:%Y-%m-%d %H:%M} UTC. Not investment advice.</p></footer>
</body>
</html>
""".encode()


def _notices(shown: Sequence[Listed], moment: Moment, now: datetime) -> str:
    outlines = [outline for item in shown for outline in item.outlines]
    n_synthetic = sum(outline.synthetic for outline in outlines)
    n_replay = sum(outline.status == "replay" for outline in outlines)
    n_late = sum(outline.status == "late" for outline in outlines)
    ages = [
        seen.age_seconds
        for outline in outlines
        if (seen := freshness(outline.interval, outline.issued_at, [outline.first[0]], now, outline.settle_s)).stale
    ]
    texts = []
    if moment.unconfirmed:
        texts.append(f"The database cannot be reached: what you see is the newest known. {moment.unconfirmed}")
    if n_synthetic:
        which = "All data on this page are" if n_synthetic == len(outlines) else "Forecasts marked synthetic are"
        texts.append(f"{which} synthetic: their bars were made by a random generator, not by a market.")
    if n_replay:
        texts.append(
            "Forecasts marked replay were made after the fact, as of their issue time. They show how the method works "
            "and are not part of the live record."
        )
    if n_late:
        texts.append("Forecasts marked late were recorded after the first bar they speak about had closed.")
    if ages and len(ages) == len(outlines):
        texts.append(
            f"Every forecast on this page is overdue: the newest knew the market of {age_text(min(ages))} ago."
        )
    return "".join(f'<p class="notice" role="status">{escape(text)}</p>\n' for text in texts)


def _comparison(shown: Sequence[Listed], verdicts: Sequence[Verdict] | None) -> str:
    """How the models on this page compare with the baseline: a sentence per model, interval and record.

    The other baselines stand in the JSON: a reader of the page asks about models.
    """
    models = {
        (model_name, outline.interval)
        for item in shown
        for outline in item.outlines
        for model_name in outline.models
        if not model_name.startswith("baseline-")
    }
    if not models:
        return ""
    if verdicts is None:
        said = "<p>The scores cannot be read at the moment.</p>"
    else:
        ordered = sorted(models, key=lambda key: (key[0], key[1] == "1d"))
        said = "<ul>\n" + "".join(_verdicts_of(*model, verdicts) for model in ordered) + "</ul>"
    return (
        '<section class="verdicts" aria-labelledby="verdicts"><h2 id="verdicts">Do the models beat the baseline?</h2>\n'
        f"<p>CRPS is the loss of a whole forecast, less is better; {BASELINE} is a random walk as wide as the market "
        'was lately. <a href="/showcase/performance/verdicts">JSON<span class="hidden"> of the verdicts</span>'
        f"</a></p>\n{said}</section>\n"
    )


def _verdicts_of(model_name: str, interval: str, verdicts: Sequence[Verdict]) -> str:
    found = [
        verdict
        for verdict in verdicts
        if verdict.pooled and (verdict.model_name, verdict.interval) == (model_name, interval)
    ]
    said = [(verdict.verdict.replace("_", " "), verdict.sentence) for verdict in found] or [
        ("not scored", f"{subject(model_name, interval)}: not scored yet.")
    ]
    return "".join(
        f'<li><b class="badge {word.replace(" ", "-")}">{word}</b> <span>{escape(sentence)}</span></li>\n'
        for word, sentence in said
    )


def _nothing() -> str:
    return (
        '<p class="notice">There are no instruments yet. Run <code>candlecast demo</code>, or import bars with '
        "<code>candlecast ingest</code> and then run <code>candlecast predict</code>.</p>"
    )


def _section(title: str, items: Sequence[Listed], now: datetime) -> str:
    if not items:
        return ""
    cards = "".join(_card(item, now) for item in items)
    return f'<section><h2>{escape(title)}</h2><div class="cards">{cards}</div></section>\n'


def _card(item: Listed, now: datetime) -> str:
    newest = max(item.outlines, key=lambda outline: outline.issued_at, default=None)
    price = f'<span class="price">{price_text(newest.last_close)}</span>' if newest else ""
    unit = f" <small>{escape(item.quote_asset)}</small>" if newest and item.quote_asset else ""
    rows = "".join(_row(item.symbol, outline, now) for outline in item.outlines)
    body = rows or '<p class="empty">No forecast yet.</p>'
    return (
        f'<article id="{escape(item.symbol)}"><h3>{escape(item.symbol)} <small>{escape(item.name)}</small>'
        f"<span>{price}{unit}</span></h3>{body}</article>"
    )


def _row(symbol: str, outline: Outline, now: datetime) -> str:
    seen = freshness(outline.interval, outline.issued_at, [outline.first[0]], now, outline.settle_s)
    marks = [mark for mark, holds in (("synthetic", outline.synthetic), ("stale", seen.stale)) if holds]
    if outline.status != "on_time":
        marks.append(outline.status)
    badges = "".join(f' <b class="badge {mark}">{mark}</b>' for mark in marks)
    href = f"/showcase/ml-prediction/{quote(symbol)}?interval={outline.interval}"
    steps = _step("next bar", outline.last_close, outline.first)
    if outline.horizon > 1:
        steps += _step(f"in {span_text(outline.last[0] - outline.issued_at)}", outline.last_close, outline.last)
    return (
        f'<div class="row"><h4>{"Hourly" if outline.interval == "1h" else "Daily"}'
        f' <a href="{escape(href)}">JSON<span class="hidden"> of {escape(symbol)} {outline.interval}</span></a>{badges}'
        f"</h4><dl>{steps}</dl>"
        f'<p class="meta">{escape(outline.model_name)} knew the bars up to '
        f'<time datetime="{outline.issued_at.isoformat()}">{outline.issued_at:%Y-%m-%d %H:%M}</time> UTC, '
        f"{age_text(seen.age_seconds)} ago</p></div>"
    )


def _step(label: str, last_close: float, step: tuple[datetime, float, float, float]) -> str:
    target_at, p10, p50, p90 = step
    move = move_text(last_close, p50)
    direction = "flat" if not move.strip("+0.%" + MINUS) else "down" if move.startswith(MINUS) else "up"
    return (
        f'<div><dt title="closes {target_at:%Y-%m-%d %H:%M} UTC">{escape(label)}</dt>'
        f'<dd><span class="{direction}">{move}</span> '
        f'<span class="band">{move_text(last_close, p10)} to {move_text(last_close, p90)}</span></dd></div>'
    )


def move_text(last_close: float, value: float) -> str:
    """The move from the last close: in per cent, or as a difference where a price at or below zero has no per cent."""
    move = value - last_close
    text = f"{100 * move / last_close:+.2f}%" if last_close > 0 else f"{move:+.4g}"
    return text.replace("-", MINUS)


def price_text(price: float) -> str:
    """A price with five significant digits or more, thousands separated."""
    decimals = 2 if abs(price) >= 1000 else 4 if abs(price) >= 1 else 6
    return f"{price:,.{decimals}f}".replace("-", MINUS)


def age_text(seconds: int) -> str:
    """An age as people say it."""
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 48 * 3600:
        return f"{seconds // 3600} h"
    return f"{seconds // 86_400} days"


def span_text(span: timedelta) -> str:
    """A time ahead, in the calendar's hours or days: 120 hourly bars of a stock exchange are weeks."""
    hours = round(span.total_seconds() / 3600)
    return f"{hours} h" if hours < 72 else f"{round(hours / 24)} days"
