"""The page `/evaluation`: what it shows is what the API says, also by keyboard, and when the API says nothing."""

import csv
import io
import json
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

READY: Final = "#evaluation[aria-busy=false]"
ANSWER: Final = "**/showcase/evaluation*"
FOCUSED: Final = """() => {
  const at = document.activeElement;
  if (at.dataset.why) return `why ${at.dataset.why}`;
  return at.closest(".plot")?.id ?? (at.id || at.name || "");
}"""
THIN: Final = "\u202f"
MINUS: Final = "\u2212"

Json = dict[str, Any]
Opened = Callable[..., Page]


@pytest.fixture
def shown(api: httpx.Client) -> Json:
    """What the API says of the record that is shown first."""
    document: Json = api.get("/showcase/evaluation").json()
    assert document["cells"], "the demo was evaluated"
    return document


def percent(share: float) -> str:
    """A share as the page has to write it: one decimal, half of one goes up, a thin space, a true minus."""
    text = str(Decimal(abs(100 * share)).quantize(Decimal("0.1"), ROUND_HALF_UP))
    return f"{MINUS if share < 0 and float(text) else ''}{text}{THIN}%"


def signed(share: float) -> str:
    """The same with its sign; what rounds to 0 has none."""
    text = percent(share)
    return f"+{text}" if share > 0 and text != f"0.0{THIN}%" else text


def independent(n_eff: float) -> str:
    """The number of independent outcomes: one decimal below 100."""
    return f"{n_eff:.1f}" if n_eff < 100 else f"{n_eff:.0f}"


def of(rows: list[Json], model_name: str, asset_class: str, step: int) -> Json | None:
    """The row of a cell."""
    place = (model_name, asset_class, step)
    return next((row for row in rows if (row["model_name"], row["asset_class"], row["step"]) == place), None)


def answered(page: Page, document: Json, status: int = 200) -> None:
    """From now on the evaluation is answered with this."""

    def answer(route: Route) -> None:
        route.fulfill(status=status, body=json.dumps(document), content_type="application/json")

    page.route(ANSWER, answer)


def test_the_tiles_say_what_the_api_says_of_the_cell_that_the_address_names(opened: Opened, shown: Json) -> None:
    models, steps = shown["models"], shown["steps"]
    places = [(models[0], "all", steps[0]), (models[0], "crypto", steps[2]), (models[-1], "equity", steps[-1])]
    page = opened("/method")
    for model, asset_class, step in places:
        choice = {"model_name": model, "asset_class": asset_class, "step": step}
        query = urlencode({"record": shown["record"], "interval": shown["interval"]} | choice)
        page.goto(urljoin(page.url, f"/evaluation?{query}"))
        page.wait_for_selector(READY)
        cell = of(shown["cells"], model, asset_class, step)
        assert cell is not None
        evidence = f"n_eff {independent(cell['n_eff'])}"

        coverage = page.locator("#tile-coverage")
        expect(coverage.locator(".value")).to_have_text(percent(cell["coverage"]["inside"]["value"]))
        expect(coverage).to_contain_text(f"as the model gave it: {percent(cell['raw_coverage']['inside']['value'])}")
        expect(coverage.locator(".basis")).to_contain_text(evidence)

        hits, above = cell["hit_rate"]["value"], cell["hits_above_naive"]["value"]
        expect(page.locator("#tile-hits .value")).to_have_text("–" if hits is None else percent(hits))
        if hits is not None and above is not None:
            expect(page.locator("#tile-hits")).to_contain_text(f"null {percent(hits - above)}")

        verdict = of(shown["verdicts"], model, asset_class, step)
        if verdict is not None:
            expect(page.locator("#tile-skill .value")).to_have_text(signed(verdict["crps_skill"]))
            expect(page.locator("#tile-verdict .value")).to_have_text(verdict["verdict"].capitalize())
        portfolio = of(shown["sharpe"], model, asset_class, step)
        assert portfolio is not None
        gross = portfolio["sharpe"]["0"]
        ratio = "–" if gross["se"] is None else f"{gross['value']:.2f} ± {gross['se']:.2f}".replace("-", MINUS)
        expect(page.locator("#tile-sharpe .value")).to_have_text(ratio)
        for basis in page.locator(".tile .basis").all():
            expect(basis).to_contain_text("n_eff")


def test_charts_and_their_tables_have_every_number_of_the_api(opened: Opened, shown: Json) -> None:
    page = opened("/evaluation")
    page.wait_for_selector(READY)
    place = (shown["models"][0], "all", shown["steps"][0])
    reliability, pit = of(shown["reliability"], *place), of(shown["pit"], *place)
    assert reliability is not None
    assert pit is not None

    marks = page.locator("#plot-reliability .mark")
    assert marks.count() == 2 * len(reliability["points"])
    labels = [str(mark.get_attribute("aria-label")) for mark in marks.all()]
    served = [label for label in labels if "as served" in label]
    for point, label in zip(reliability["points"], served, strict=True):
        assert label.startswith(f"Level {percent(point['nominal'])}, as served; {percent(point['observed'])}")
    rows = page.locator("[data-table=reliability] tbody tr")
    assert [row.locator("td").first.text_content() for row in rows.all()] == [
        percent(point["observed"]) for point in reliability["points"]
    ]
    assert page.locator("#plot-pit .mark").count() == 20
    assert [row.locator("td").first.text_content() for row in page.locator("[data-table=pit] tbody tr").all()] == [
        percent(value) for value in pit["shares"]
    ]
    compared = [row for row in shown["verdicts"] if row["model_name"] == place[0] and row["crps_skill"] is not None]
    assert page.locator("#plot-horizons .mark").count() == len(compared)
    places = {row["asset_class"] for row in compared}
    assert places == set(shown["classes"])


def test_a_choice_stands_in_the_address_and_comes_back_with_it(opened: Opened, shown: Json) -> None:
    page = opened("/evaluation")
    page.wait_for_selector(READY)
    page.locator("#asset_class").select_option("equity")
    page.locator("input[name=step]").nth(1).check()
    before = page.locator("#tile-coverage .value").text_content()
    query = parse_qs(urlsplit(page.url).query)
    assert query["asset_class"] == ["equity"]
    assert query["step"] == [str(shown["steps"][1])]
    assert query["record"] == [shown["record"]]

    page.reload()
    page.wait_for_selector(READY)
    expect(page.locator("#asset_class")).to_have_value("equity")
    assert page.locator("#tile-coverage .value").text_content() == before
    page.goto(page.url.split("/evaluation")[0] + "/method")
    page.go_back()
    page.wait_for_selector(READY)
    expect(page.locator("#asset_class")).to_have_value("equity")


def test_other_bars_bring_another_document_and_no_number_of_the_first(
    opened: Opened, api: httpx.Client, shown: Json
) -> None:
    page = opened("/evaluation")
    page.wait_for_selector(READY)
    daily = api.get("/showcase/evaluation", params={"record": shown["record"], "interval": "1d"}).json()
    page.locator("input[name=interval][value='1d']").check()
    expect(page.locator("#span")).to_contain_text("Daily bars")
    cell = of(daily["cells"], shown["models"][0], "all", daily["steps"][0])
    assert cell is not None
    expect(page.locator("#tile-coverage .value")).to_have_text(percent(cell["coverage"]["inside"]["value"]))
    if shown["record"] == "replay":
        expect(page.locator("#notices")).to_contain_text("This record is a replay")


def test_what_the_address_asks_in_vain_is_said(opened: Opened) -> None:
    page = opened("/evaluation?record=nonsense&model_name=no-such-model&step=7")
    page.wait_for_selector(READY)
    expect(page.locator("#notices")).to_contain_text("There is no record “nonsense”.")
    expect(page.locator("#notices")).to_contain_text("There is no model “no-such-model” in this record.")
    expect(page.locator("#tile-coverage .value")).to_contain_text("%")


def test_the_keyboard_reaches_every_control_and_every_explanation(opened: Opened) -> None:
    page = opened("/evaluation")
    page.wait_for_selector(READY)
    page.locator("#filters input:checked").first.focus()
    reached: set[str] = set()
    for _ in range(140):
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUSED)
        if at.startswith("why "):
            tip = page.locator(f"#why-{at.removeprefix('why ')}")
            expect(tip).to_be_visible()
            page.keyboard.press("Escape")
            expect(tip).to_be_hidden()
        if at.startswith("plot-"):
            first = page.locator(f"#{at} .mark-tip").text_content()
            page.keyboard.press("ArrowRight")
            expect(page.locator(f"#{at} .mark-tip")).to_be_visible()
            assert page.locator(f"#{at} .mark-tip").text_content() != first
        reached.add(at)
        if at == "json":
            break
    tiles = {f"why {name}" for name in ("verdict", "days", "coverage", "skill", "hits", "sharpe")}
    charts = {f"plot-{name}" for name in ("reliability", "pit", "horizons", "models")}
    assert tiles | charts | {"model_name", "asset_class", "step", "csv", "json", "why alarm", "why voids"} <= reached


@pytest.mark.parametrize("look", [{}, {"dark": True}, {"phone": True}], ids=["light", "dark", "phone"])
def test_the_evaluation_has_no_barriers_and_fits_its_window(
    opened: Opened, barriers: Callable[[Page], list[str]], kept: Callable[[Page, str], None], look: dict[str, bool]
) -> None:
    page = opened("/evaluation", **look)
    page.wait_for_selector(READY)
    for details in page.locator("details").all():
        details.evaluate("node => { node.open = true }")
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for details in page.locator("details").all():
        details.evaluate("node => { node.open = false }")
    kept(page, f"evaluation-{'-'.join(look) or 'light'}")


def test_the_file_has_every_cell_with_the_numbers_of_the_api(opened: Opened, shown: Json) -> None:
    page = opened("/evaluation")
    page.wait_for_selector(READY)
    with page.expect_download() as download:
        page.locator("#csv").click()
    name = f"candlecast-{shown['record']}-{shown['interval']}-{shown['as_of'][:10]}.csv"
    assert download.value.suggested_filename == name
    text = download.value.path().read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == len(shown["cells"])
    for row, cell in zip(rows, shown["cells"], strict=True):
        assert row["model_name"] == cell["model_name"]
        assert int(row["n"]) == cell["n"]
        assert float(row["coverage.inside.value"]) == cell["coverage"]["inside"]["value"]
        assert float(row["interval_score"]) == cell["interval_score"]
        assert (
            row["coverage.inside.low"] == "" or float(row["coverage.inside.low"]) == cell["coverage"]["inside"]["low"]
        )


def test_intervals_are_drawn_where_they_are_and_verdicts_said_in_words(opened: Opened, shown: Json) -> None:
    place = (shown["models"][0], "all", shown["steps"][0])
    verdict, cell = of(shown["verdicts"], *place), of(shown["reliability"], *place)
    assert verdict is not None
    assert cell is not None
    verdict.update(crps_skill=0.05, low=0.03, high=0.07, cs_low=0.01, cs_high=0.09, verdict="better", n_eff=128.4)
    cell["points"][0].update(nominal=0.05, observed=0.08, low=0.06, high=0.1)
    page = opened("/method")
    answered(page, shown)
    page.goto(page.url.replace("/method", "/evaluation"))
    page.wait_for_selector(READY)

    expect(page.locator("#tile-verdict .value")).to_have_text("Better")
    expect(page.locator("#tile-verdict .basis")).to_contain_text("n_eff 128")
    expect(page.locator("#tile-skill")).to_contain_text(f"watched daily: +1.0{THIN}% to +9.0{THIN}%")
    expect(page.locator("#tile-days")).to_contain_text("decided")
    assert (
        page.locator("#plot-horizons .reach.once").count() == page.locator("#plot-horizons .reach.watched").count() == 1
    )
    once, watched = (page.locator(f"#plot-horizons .reach.{kind}").bounding_box() for kind in ("once", "watched"))
    assert once
    assert watched
    assert watched["width"] / once["width"] == pytest.approx(0.08 / 0.04, rel=0.1)
    assert page.locator("#plot-reliability .whisker.served").count() == 1
    label = page.get_by_label(f"Level 5.0{THIN}%, as served").get_attribute("aria-label")
    assert label is not None
    assert f"95 % interval 6.0{THIN}% to 10.0{THIN}%" in label


def test_when_nothing_is_scored_the_page_says_so_and_where_there_is_something(opened: Opened, shown: Json) -> None:
    empty = {name: [] if isinstance(value, list) else value for name, value in shown.items()}
    empty |= {"notice": "There is no live record yet.", "record": "live", "as_of": None, "made_at": None}
    page = opened("/method")
    answered(page, empty | {"available": shown["available"]})
    page.goto(page.url.replace("/method", "/evaluation?record=live"))
    page.wait_for_selector(READY)
    expect(page.locator("#nothing")).to_contain_text("There is no live record yet.")
    expect(page.locator("#shown")).to_be_hidden()
    assert page.locator("#elsewhere a").count() == len(shown["available"])


def test_an_evaluation_that_is_overdue_is_called_so(opened: Opened, shown: Json) -> None:
    page = opened("/method")
    answered(page, shown | {"made_at": "2020-01-01T00:00:00Z"})
    page.goto(page.url.replace("/method", "/evaluation"))
    page.wait_for_selector(READY)
    expect(page.locator("#notices")).to_contain_text("The daily evaluation is overdue")


def test_without_an_answer_a_sentence_and_a_button_stand_there_and_the_button_helps(
    opened: Opened, shown: Json
) -> None:
    page = opened("/method", expect_errors=True)
    answered(page, {"detail": "The database cannot be read; try again in 5 s."}, 503)
    page.goto(page.url.replace("/method", "/evaluation"))
    page.wait_for_selector(READY)
    expect(page.locator("#failed")).to_contain_text("The database cannot be read; try again in 5 s.")
    expect(page.locator("#shown")).to_be_hidden()
    page.unroute(ANSWER)
    page.locator("#failed [data-retry]").click()
    expect(page.locator("#failed")).to_be_hidden()
    expect(page.locator("#tile-coverage .value")).to_contain_text("%")


def test_what_was_shown_stays_when_a_later_reading_fails(opened: Opened) -> None:
    page = opened("/evaluation", expect_errors=True)
    page.wait_for_selector(READY)
    before = page.locator("#tile-coverage .value").text_content()
    page.route(ANSWER, lambda route: route.abort())
    page.locator("input[name=interval][value='1d']").click()
    expect(page.locator("#notices .trouble")).to_contain_text("The server cannot be reached.")
    assert page.locator("#tile-coverage .value").text_content() == before
    expect(page.locator("input[name=interval][value='1h']")).to_be_checked()
    assert "interval=1d" not in page.url
    page.unroute(ANSWER)
    page.locator("#notices [data-retry]").click()
    expect(page.locator("#notices .trouble")).to_have_count(0)
