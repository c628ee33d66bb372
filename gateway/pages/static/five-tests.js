/* The five tests of the evaluation plan as one table: value, interval, gate, and why a test does not apply. */

import { element } from "./elements.js";
import { NONE, ahead, gain, known, range, ratio, share } from "./estimates.js";
import { number } from "./wording.js";

const COLUMNS = ["Test", "#Value", "#95 % interval", "#Events", "Gate", "Result"];

/** The table for one model; tests of a pair of models stand whichever model is chosen. */
export function fiveTable(tests, model) {
  const of = (name) => Object.entries(tests).find(([title]) => title.startsWith(name))?.[1];
  const bodies = [
    section("1 Wider bands around releases", "p90 − p10 of the next bar on event days, over quiet days within a week", "≥ 1.5",
      mine(of("1"), model).map((row) => [row.family, row.ratio, ratio, row.n_events, row.gate, row.n_events === 0
        ? `no ${row.family} release fell on a day that was judged` : null]),
      "no day of this model was judged beside a release"),
    section("2 Direction after a surprise", "how often the median moved the way a surprise of more than half a σ should move it", "≥ 60 %",
      mine(of("2"), model).map((row) => [ahead(row.step), row.share, share, row.n_events, row.gate, null]),
      "no two forecasts of this model stand just before and just after a surprise"),
    section("3 Quiet days", "error of kronos-event beside kronos-base on days without releases", "at most 2 % higher",
      (of("3") ?? []).map((row) => [ahead(row.step), row.gain, gain, null, row.gate, null]),
      "kronos-event and kronos-base have no forecasts in common in this record"),
    section("4 Narrow bands only", "Sharpe ratio of kronos-event less that of kronos-base, trading where p90 − p10 is small", "≥ 0",
      (of("4")?.event_against_base ?? []).map((row) => [ahead(row.step), row.gain, plus, null, row.gate, null]),
      "kronos-event and kronos-base have no portfolios in common in this record"),
    section("5 Ensemble", "Sharpe ratio of the ensemble less that of the best single model", "≥ +0.10",
      (of("5") ?? []).map((row) => [`${ahead(row.step)}, against ${row.against}`, row.gain, plus, null, row.gate, null]),
      "there is no ensemble in this record"),
  ];
  const heads = COLUMNS.map((name) =>
    element("th", { scope: "col", class: name.startsWith("#") ? "n" : null }, name.replace("#", "")));
  return element("table", { class: "five" }, element("caption", { class: "hidden" }, "The five tests of the evaluation plan"),
    element("thead", {}, element("tr", {}, ...heads)), ...bodies);
}

function mine(rows, model) {
  return (rows ?? []).filter((row) => row.model_name === model);
}

function plus(value) {
  return ratio(value, true);
}

/** One test: a heading row, then [what, estimate, tell, events, result, why not] each. */
function section(title, about, gate, rows, missing) {
  const head = element("tr", { class: "test" }, element("th", { scope: "rowgroup", colspan: 6 },
    element("strong", {}, title), " ", element("span", { class: "soft" }, about)));
  const shown = rows.length > 0 ? rows : [["", null, null, null, "not applicable", missing]];
  return element("tbody", {}, head, ...shown.map(([what, estimate, tell, events, result, why]) => {
    const cells = why === null && estimate
      ? [tell(estimate.value), range(estimate.low, estimate.high, tell), known(events) ? number(events) : NONE, gate]
      : [NONE, NONE, known(events) ? number(events) : NONE, gate];
    return element("tr", {},
      element("th", { scope: "row" }, what || "All"),
      ...cells.map((text, index) => element("td", { class: index < 3 ? "n" : null }, text)),
      element("td", {}, ...verdictOf(why ? "not applicable" : result, why)));
  }));
}

function verdictOf(result, why) {
  const badge = element("b", { class: `badge ${result.replace(" ", "-")}` }, result);
  return why ? [badge, " ", element("span", { class: "soft" }, why)] : [badge];
}
