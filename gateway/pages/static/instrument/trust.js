/* How far to trust a forecast: the verdict on its model, and how often its 80 % band held on this instrument. */

import { element, explained, fill } from "../elements.js";
import { askAgain } from "./feed.js";
import { counted, number, percent } from "../wording.js";

const BASELINE = "baseline-rw";
const SAID = { live: "live record", late: "late record", replay: "replays", synthetic: "synthetic bars" };

/** The record that a forecast belongs to; records are never mixed. */
export function recordOf(chart) {
  if (chart.synthetic) return "synthetic";
  return { on_time: "live", late: "late", replay: "replay" }[chart.status];
}

/** Fill `panel` with what the record says of the model behind a chart document; quietly less where it cannot be read. */
export async function drawTrust(panel, chart) {
  const { symbol, interval, forecast } = chart;
  const model = forecast.model_name;
  const record = recordOf(chart);
  const asked = `symbol=${encodeURIComponent(symbol)}&interval=${interval}&model_name=${encodeURIComponent(model)}`;
  const [verdicts, performance] = await Promise.allSettled([
    askAgain("/showcase/performance/verdicts"),
    askAgain(`/showcase/performance?${asked}&window=all&record=${record}`),
  ]);
  const link = element("a", { href: `/evaluation?record=${record}&interval=${interval}&model_name=${encodeURIComponent(model)}` }, "All scores on the evaluation page");
  fill(
    panel,
    verdictOf(verdicts.value?.document.verdicts, model, interval, record),
    coverageOf(performance.value?.document.rows, { symbol, model, record }),
    element("p", { class: "meta" }, link),
  );
}

function verdictOf(verdicts, model, interval, record) {
  if (!verdicts) return element("p", {}, "The scores cannot be read at the moment.");
  if (model === BASELINE) {
    return element("p", {}, `${BASELINE} is the yardstick itself: a random walk as wide as the market was lately.`);
  }
  const found = verdicts.find(
    (one) =>
      one.model_name === model && one.interval === interval && one.record === record && one.asset_class === "all" && one.step === 0,
  );
  const word = found ? found.verdict.replace("_", " ") : "not scored";
  const sentence = found ? found.sentence : `No ${SAID[record]} of ${model} at this interval ${record === "live" ? "has" : "have"} been scored yet.`;
  return element("p", { class: "verdict" }, element("b", { class: `badge ${word.replace(" ", "-")}` }, word), " ", sentence);
}

function coverageOf(rows, { symbol, model, record }) {
  if (!rows) return null;
  const judged = rows.filter((row) => row.n > 0 && row.coverage !== null).sort((a, b) => a.step - b.step);
  const about = `How often the 80 % band of ${model} held on ${symbol}, ${SAID[record]}`;
  if (judged.length === 0) return element("p", {}, `${about}: not scored yet.`);
  const heads = [
    ["Step", "The bar ahead that was scored"],
    ["Held", "Share of closes inside the 80 % band; 80 % is what it promises"],
    ["n", "Scored forecasts"],
    ["n_eff", "How many independent outcomes they are worth: horizons that overlap tell the same story twice"],
  ];
  return element(
    "table",
    { class: "plain" },
    element("caption", {}, about),
    element("thead", {}, element("tr", {}, ...heads.map(([head, why], at) => element("th", { scope: "col", class: at ? "n" : null }, explained(head, why))))),
    element("tbody", {}, ...judged.map(coverageRow)),
  );
}

function coverageRow(row) {
  const worth = number(row.n_eff, row.n_eff < 10 ? 1 : 0);
  const why = `${counted(Math.round(row.coverage * row.n), "close")} of ${row.n} inside; below ${percent(row.below)}, above ${percent(row.above)}`;
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, String(row.step)),
    element("td", { class: "n" }, explained(percent(row.coverage), why)),
    element("td", { class: "n" }, number(row.n)),
    element("td", { class: "n" }, worth),
  );
}
