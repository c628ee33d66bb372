/* The cells of an evaluation as lines: the table on the page, and the file for a spreadsheet. */

import { ahead, className, gain, range, ratio, share, worth } from "./estimates.js";
import { table } from "./tables.js";
import { number } from "./wording.js";

/** Every cell of one model, with its verdict and its Sharpe ratio before costs. */
export function cellTable(shown, model) {
  const rows = shown.cells.filter(({ model_name: name }) => name === model).map((cell) => {
    const verdict = shown.verdicts.find((one) => same(one, cell));
    const gross = shown.sharpe.find((one) => same(one, cell))?.sharpe["0"];
    const { inside } = cell.coverage;
    return [
      className(cell.asset_class), ahead(cell.step), number(cell.n), worth(cell.n_eff), share(inside.value),
      range(inside.low, inside.high, share), share(cell.raw_coverage.inside.value), number(cell.interval_score, 3),
      gain(verdict?.crps_skill), share(cell.hit_rate.value), ratio(gross?.value),
      verdict ? verdict.verdict.replace("_", " ") : "–",
    ];
  });
  return table(`Every cell of ${model}`, ["Class", "Ahead", "#n", "#n_eff", "#Inside 80 %", "#95 % interval", "#Raw inside",
    "#Interval score", "#CRPS skill", "#Hits", "#Sharpe", "Verdict"], rows);
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
