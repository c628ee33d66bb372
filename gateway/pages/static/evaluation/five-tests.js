/* The five tests of the evaluation plan as one table: value, interval, gate, and why a test does not apply. */

import { element } from "../elements.js";
import { NONE, ahead, gain, known, range, ratio, share } from "./estimates.js";
import { head } from "./tables.js";
import { number } from "../wording.js";

const COLUMNS = [
  "Test",
  "#Value",
  ["#95 % interval", "Of the value, for somebody who looks once"],
  ["#Events", "Releases that the value is made from; each is one observation"],
  ["Result", "Passed or failed only where the whole interval lies on one side of the gate"],
];

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
  return element("table", { class: "five" }, element("caption", { class: "hidden" }, "The five tests of the evaluation plan"),
    element("thead", {}, element("tr", {}, ...COLUMNS.map(head))), ...bodies);
}

function mine(rows, model) {
  return (rows ?? []).filter((row) => row.model_name === model);
}

function plus(value) {
  return ratio(value, true);
}

/** One test: a heading row, then [what, estimate, tell, events, result, why not] each. */
function section(title, about, gate, rows, missing) {
  const told = element("th", { scope: "rowgroup", colspan: COLUMNS.length }, element("span", { class: "kept" },
    element("strong", {}, title), " ", element("span", { class: "soft" }, `${about}; gate: ${gate}`)));
  const shown = rows.length > 0 ? rows : [["All", null, null, null, null, missing]];
  return element("tbody", {}, element("tr", { class: "test" }, told), ...shown.map(row));
}

function row([what, estimate, tell, events, result, why]) {
  const place = element("th", { scope: "row" }, what);
  if (why !== null) {
    const reason = element("span", { class: "kept" }, badge("not applicable"), " ", element("span", { class: "soft" }, why));
    return element("tr", {}, place, element("td", { colspan: COLUMNS.length - 1, class: "why-not" }, reason));
  }
  const numbers = [tell(estimate.value), range(estimate.low, estimate.high, tell), known(events) ? number(events) : NONE];
  return element("tr", {}, place, ...numbers.map((text) => element("td", { class: "n" }, text)),
    element("td", {}, badge(result)));
}

function badge(result) {
  return element("b", { class: `badge ${result.replace(" ", "-")}` }, result);
}
