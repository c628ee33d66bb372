/* The forecast as a table: the same numbers as the chart, for whoever reads rather than looks. */

import { verdictOf } from "./chart-data.js";
import { element, fill } from "../elements.js";
import { decimalsOf, instant, number, quantileName } from "../wording.js";

/** Fill `table` with a row per step; outcomes only where the chart shows them. */
export function drawTable(table, chart) {
  const { forecast, document } = chart;
  const decimals = decimalsOf(forecast.last_close);
  const heads = ["Step", "Closes at", ...forecast.levels.map(quantileName), ...(chart.outcome ? ["Outcome", "80 % band"] : [])];
  const rows = forecast.fan.map((values, index) => {
    const close = chart.outcome ? chart.outcomes[index] : null;
    const outcome = [
      element("td", { class: "n" }, number(close, decimals)),
      element("td", {}, verdictOf(forecast, index + 1, close) ?? "open"),
    ];
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, String(index + 1)),
      element("td", { class: "nowrap" }, instant(forecast.target_at[index])),
      ...values.map((value, at) => element("td", { class: forecast.levels[at] === 0.5 ? "n middle" : "n" }, number(value, decimals))),
      ...(chart.outcome ? outcome : []),
    );
  });
  const caption =
    `Forecast of ${document.symbol} by ${forecast.model_name}, issued ${instant(forecast.issued_at)}: quantiles of the close` +
    `${document.quote_asset ? ` in ${document.quote_asset}` : ""} at each step`;
  fill(
    table,
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col", class: /^(p\d|Outcome)/.test(head) ? "n" : null }, head)))),
    element("tbody", {}, ...rows),
  );
}
