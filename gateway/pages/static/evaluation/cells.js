/* The cells of an evaluation as lines: the table on the page, and the file for a spreadsheet. */

import { NONE, ahead, className, gain, known, range, ratio, share, worth } from "./estimates.js";
import { table } from "./tables.js";
import { number } from "../wording.js";

/** Every cell of one model, with its verdict and its Sharpe ratio before costs. */
export function cellTable(shown, model) {
  const rows = shown.cells.filter(({ model_name: name }) => name === model).map((cell) => {
    const verdict = shown.verdicts.find((one) => same(one, cell));
    const gross = shown.sharpe.find((one) => same(one, cell))?.sharpe["0"];
    const { inside } = cell.coverage;
    return [
      className(cell.asset_class), ahead(cell.step), number(cell.n), worth(cell.n_eff), share(inside.value),
      range(inside.low, inside.high, share), share(cell.raw_coverage.inside.value), number(cell.interval_score, 3),
      gain(verdict?.crps_skill), share(cell.hit_rate.value), known(gross?.se) ? `${ratio(gross.value)} ± ${ratio(gross.se)}` : NONE,
      verdict ? verdict.verdict.replace("_", " ") : NONE,
    ];
  });
  return table(`Every cell of ${model}`, [
    "Class", "Ahead",
    ["#n", "Pairs of a forecast and an outcome"],
    ["#n_eff", "How many independent outcomes the days are worth"],
    ["#Inside 80 %", "Share of outcomes between p10 and p90 as served; 80 % if calibrated"],
    ["#95 % interval", "Of the share inside, for somebody who looks once; a day is one observation"],
    ["#Raw inside", "The same of the band that the model gave, before it was corrected"],
    ["#Interval score", "Width of the band, and ten times by how far outcomes missed it, in σ at issue; less is better"],
    ["#CRPS skill", "1 − CRPS of the model / CRPS of baseline-rw, on the forecasts that both made"],
    ["#Hits", "Share of forecasts whose median moved the way the market then moved"],
    ["#Sharpe", "Annual Sharpe ratio before costs ± its standard error; a dash where there are too few days for a standard error"],
    ["Verdict", "Better or worse only where the evidence holds out against all cells and every look"],
  ], rows);
}

/** Whether two parts of an evaluation speak of the same model, class and step. */
export function same(one, other) {
  return one.model_name === other.model_name && one.asset_class === other.asset_class && one.step === other.step;
}

/** All cells of a document as CSV (RFC 4180): one line each, numbers as the API has them, nothing where it has null. */
export function csvOf(cells) {
  const lines = cells.map((cell) => flat(cell));
  const names = [...new Set(lines.flatMap((line) => [...line.keys()]))];
  const text = (value) => {
    const plain = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
  };
  return [names, ...lines.map((line) => names.map((name) => line.get(name)))]
    .map((line) => `${line.map(text).join(",")}\r\n`)
    .join("");
}

/** A cell with the names of nested numbers joined: coverage.inside.low. */
function flat(value, name = "") {
  if (value === null || typeof value !== "object") return new Map([[name, value]]);
  return new Map(Object.entries(value).flatMap(([key, one]) => [...flat(one, name ? `${name}.${key}` : key)]));
}
