/* The tiles: one number each, what it means beside its null, and how much evidence is behind it. */

import { element, fill } from "../elements.js";
import { NONE, VERDICTS, chance, gain, known, range, ratio, share, worth } from "./estimates.js";
import { counted, number } from "../wording.js";

const TOO_SHORT = "too short for an interval";

/** Fill all tiles from one cell of the evaluation, its verdict and its portfolio; each of them may be missing. */
export function fillTiles(root, { cell, verdict, portfolio, model }) {
  const put = (name, value, lines, n) => {
    fill(root.querySelector(`[data-tile="${name}"]`), element("p", { class: "value" }, value),
      ...lines.filter(Boolean).map((text) => element("p", { class: "beside" }, text)));
    root.querySelector(`[data-worth="${name}"]`).textContent = n;
  };
  put("verdict", ...verdictTile(verdict, model));
  put("days", ...daysTile(verdict));
  put("coverage", ...coverageTile(cell));
  put("skill", ...skillTile(verdict, cell));
  put("hits", ...hitsTile(cell));
  put("sharpe", ...sharpeTile(portfolio));
}

/** "n 69 · 3 days · n_eff 3.0" */
export function evidence(n, days, independent) {
  return `n ${number(n)} · ${counted(days, "day")} · n_eff ${worth(independent)}`;
}

const NOTHING = [NONE, ["not scored"], "n 0 · n_eff 0"];

function verdictTile(verdict, model) {
  if (!verdict) {
    const why = model === "baseline-rw" ? "the baseline itself: the others are compared with it" : "not compared yet";
    return [badge("not_compared"), [why], "n 0 · n_eff 0"];
  }
  const lines = [`one of ${counted(verdict.n_cells, "cell")} judged together`];
  if (known(verdict.q_value)) lines.push(`one look alone: p ${chance(verdict.p_value)}, among all cells q ${chance(verdict.q_value)}`);
  return [badge(verdict.verdict), lines, evidence(verdict.n_pairs, verdict.n_days, verdict.n_eff)];
}

function badge(verdict) {
  return element("b", { class: `badge ${verdict.replace("_", "-")}` }, VERDICTS[verdict] ?? verdict);
}

function daysTile(verdict) {
  if (!verdict) return NOTHING;
  const n = evidence(verdict.n_pairs, verdict.n_days, verdict.n_eff);
  if (verdict.verdict === "better" || verdict.verdict === "worse") return ["0", ["decided"], n];
  if (!known(verdict.days_to_decision)) {
    return [NONE, ["too little is known of its noise to say when"], n];
  }
  return [number(Math.ceil(verdict.days_to_decision)), ["more days of this skill and this noise"], n];
}

function coverageTile(cell) {
  if (!cell) return NOTHING;
  const { inside, below, above } = cell.coverage;
  return [
    share(inside.value),
    [
      interval(inside, share),
      `below ${share(below.value)}, above ${share(above.value)}; 10 % each if calibrated`,
      `as the model gave it: ${share(cell.raw_coverage.inside.value)}`,
    ],
    evidence(cell.n, cell.n_days, cell.n_eff),
  ];
}

function skillTile(verdict, cell) {
  if (!verdict) return [gain(0), ["the baseline itself"], cell ? evidence(cell.n, cell.n_days, cell.n_eff) : "n 0 · n_eff 0"];
  const lines = [
    known(verdict.low) && known(verdict.high) ? `one look: ${range(verdict.low, verdict.high, gain)}` : TOO_SHORT,
  ];
  if (known(verdict.cs_low) && known(verdict.cs_high)) {
    lines.push(`watched daily: ${range(verdict.cs_low, verdict.cs_high, gain)}`);
  }
  if (cell && known(cell.calibrated_crps_skill.value)) lines.push(`as served: ${gain(cell.calibrated_crps_skill.value)}`);
  return [gain(verdict.crps_skill), lines, evidence(verdict.n_pairs, verdict.n_days, verdict.n_eff)];
}

function hitsTile(cell) {
  if (!cell) return NOTHING;
  const { hit_rate: rate, hits_above_naive: above, pesaran_timmermann: test } = cell;
  const n = evidence(cell.n, cell.n_days, cell.n_eff);
  if (!known(rate.value)) return [NONE, ["no direction: its median stays where the price was"], n];
  return [
    share(rate.value),
    [
      interval(rate, share),
      known(above.value) ? `null ${share(rate.value - above.value)}: the better of always up and always down` : null,
      known(test.value) && known(test.se) ? `above unrelated signals: ${gain(test.value)}, p ${chance(test.p_value)}` : null,
    ],
    n,
  ];
}

function sharpeTile(portfolio) {
  if (!portfolio) return NOTHING;
  const [[, gross], ...costly] = costsOf(portfolio);
  const n = `n ${counted(portfolio.n_days, "day")} · n_eff ${number(portfolio.n_days)}, none overlap`;
  if (!known(gross.value) || !known(gross.se)) return [NONE, ["too few days for a standard error: not shown"], n];
  return [
    `${ratio(gross.value)} ± ${ratio(gross.se)}`,
    [
      "before costs, ± one standard error",
      costly.map(([cost, net]) => `${ratio(net.value)} at ${cost}`).join(", "),
      known(portfolio.deflated) ? `deflated for ${counted(portfolio.n_trials, "portfolio")}: ${share(portfolio.deflated)}` : null,
    ],
    n,
  ];
}

/** [["0 bp", estimate], …] from the cheapest to the dearest. */
export function costsOf(portfolio) {
  return Object.entries(portfolio.sharpe)
    .sort(([one], [other]) => Number(one) - Number(other))
    .map(([cost, estimate]) => [`${number(1e4 * Number(cost))} bp`, estimate]);
}

function interval({ low, high }, tell) {
  return known(low) && known(high) ? `95 % interval ${range(low, high, tell)}` : TOO_SHORT;
}
