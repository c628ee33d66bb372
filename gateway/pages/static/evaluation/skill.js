/* Skill as dots with two intervals: one for who looks once, one for who looks every day. One row per cell. */

import { gain, known, range } from "./estimates.js";
import { mark, show } from "./marks.js";
import { frame, roundTicks, scale, shape } from "./svg.js";
import { table } from "./tables.js";

const ROW = 26;
const GAP = 12;
const BOTTOM = 42;
const ARROW = 5;

/** Draw rows `{group, label, words, kind, verdict}` into a host of this width; a null verdict draws no dot. */
export function drawSkill(host, rows, width) {
  const narrow = width < 560;
  const left = narrow ? 104 : 230;
  const right = narrow ? 58 : 150;
  let height = 8;
  const places = rows.map((row, index) => {
    if (index > 0 && row.group !== rows[index - 1].group) height += GAP;
    height += ROW;
    return height - ROW / 2;
  });
  height += BOTTOM;
  const [low, high] = domain(rows);
  const x = scale(low, high, left, width - right);
  const floor = height - BOTTOM + 4;
  const svg = frame(width, height, "Skill beside the baseline with its intervals. Arrow keys walk through the rows.");
  svg.append(axes(x, low, high, floor, width, height, narrow));

  const marks = [];
  rows.forEach((row, index) => {
    const y = places[index];
    const lead = index === 0 || rows[index - 1].group !== row.group;
    const label = shape("g", { "aria-hidden": "true" });
    if (row.group !== "" && lead) {
      label.append(shape("text", { class: "group", x: 2, y: y + 4 }, narrow ? row.shortGroup : row.group));
    }
    label.append(shape("text", { class: "label", x: left - 10, y: y + 4, "text-anchor": "end" },
      narrow ? row.shortLabel : row.label));
    const { verdict } = row;
    const value = verdict && known(verdict.crps_skill) ? verdict.crps_skill : null;
    label.append(shape("text", { class: "valued", x: width - right + 54, y: y + 4, "text-anchor": "end" }, gain(value)));
    if (!narrow && verdict) {
      label.append(shape("text", { class: `word ${verdict.verdict}`, x: width - right + 64, y: y + 4 },
        verdict.verdict.replace("_", " ")));
    }
    svg.append(label);
    if (value === null) return;
    const drawn = [
      span(x, y, verdict.cs_low, verdict.cs_high, low, high, "watched"),
      span(x, y, verdict.low, verdict.high, low, high, "once"),
      point(x(value), y, row.kind),
    ];
    marks.push(mark(x(value), y, said(row), ...drawn.filter(Boolean)));
  });
  svg.append(...marks.map(({ node }) => node));
  show(host, svg, marks);
}

/** The same rows as a table. */
export function skillTable(caption, first, rows, tell) {
  const cells = rows.filter(({ verdict }) => verdict).map((row) => [
    row.words, gain(row.verdict.crps_skill), range(row.verdict.low, row.verdict.high, gain),
    range(row.verdict.cs_low, row.verdict.cs_high, gain), tell.counted(row.verdict.n_pairs),
    tell.worth(row.verdict.n_eff), row.verdict.verdict.replace("_", " "), tell.days(row.verdict.days_to_decision),
  ]);
  return table(caption, [
    first,
    ["#Skill", "1 − CRPS of the model / CRPS of baseline-rw, on the forecasts that both made"],
    ["#One look", "95 % interval for somebody who looks once"],
    ["#Watched daily", "95 % interval that stays valid however often one looks"],
    ["#n", "Pairs of a forecast and an outcome that both were scored on"],
    ["#n_eff", "How many independent outcomes the days are worth"],
    ["Verdict", "Better or worse only where the evidence holds out against all cells and every look"],
    ["#Days to go", "Until four records of five with this skill and noise would carry a verdict"],
  ], cells);
}

/** From lowest to highest: all dots and 0, and of intervals no more than as much again on either side. */
export function domain(rows) {
  const verdicts = rows.map(({ verdict }) => verdict).filter((verdict) => verdict && known(verdict.crps_skill));
  const values = [-0.02, 0.02, ...verdicts.map(({ crps_skill: skill }) => skill)];
  const [lowest, highest] = [Math.min(...values), Math.max(...values)];
  const reach = highest - lowest;
  const ends = verdicts.flatMap((verdict) => [verdict.low, verdict.high, verdict.cs_low, verdict.cs_high]).filter(known);
  const low = Math.max(Math.min(lowest, ...ends), lowest - reach);
  const high = Math.min(Math.max(highest, ...ends), highest + reach);
  const margin = 0.04 * (high - low);
  return [low - margin, high + margin];
}

function axes(x, low, high, floor, width, height, narrow) {
  const ticks = roundTicks(low, high, narrow ? 3 : 7);
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : 1;
  const decimals = step < 0.01 ? 1 : 0;
  const made = shape("g", { "aria-hidden": "true" });
  for (const tick of ticks) {
    const text = (100 * tick).toFixed(decimals).replace("-", "\u2212").replace(/^\u2212(0(\.0)?)$/, "$1");
    made.append(
      shape("line", { class: "grid", x1: x(tick), x2: x(tick), y1: 4, y2: floor }),
      shape("text", { class: "tick", x: x(tick), y: floor + 15, "text-anchor": "middle" }, text),
    );
  }
  made.append(
    shape("line", { class: "ideal", x1: x(0), x2: x(0), y1: 4, y2: floor }),
    narrow ? "" : shape("text", { class: "axis", x: (x(low) + x(high)) / 2, y: height - 5, "text-anchor": "middle" },
      "CRPS skill, %"),
    shape("text", { class: "axis", x: x(low), y: height - 5 }, narrow ? "\u2190 worse" : "\u2190 worse than the baseline"),
    shape("text", { class: "axis", x: x(high), y: height - 5, "text-anchor": "end" }, "better \u2192"),
  );
  return made;
}

/** An interval as a line; an arrow at an end says that it goes on beyond the chart. */
function span(x, y, from, to, low, high, kind) {
  if (!known(from) || !known(to)) return null;
  const [start, end] = [x(Math.max(from, low)), x(Math.min(to, high))];
  const leftEnd = from < low ? `M${start + ARROW} ${y - 4}L${start} ${y}L${start + ARROW} ${y + 4}` : "";
  const rightEnd = to > high ? `M${end - ARROW} ${y - 4}L${end} ${y}L${end - ARROW} ${y + 4}` : "";
  return shape("path", { class: `reach ${kind}`, d: `M${start} ${y}H${end}${leftEnd}${rightEnd}` });
}

const POINTS = {
  all: (x, y) => shape("circle", { cx: x, cy: y, r: 5.5, class: "point all" }),
  crypto: (x, y) => shape("path", { d: `M${x} ${y - 6.5}l6.5 6.5l-6.5 6.5l-6.5 -6.5z`, class: "point crypto" }),
  forex_commodity: (x, y) => shape("rect", { x: x - 5, y: y - 5, width: 10, height: 10, class: "point forex_commodity" }),
  equity: (x, y) => shape("path", { d: `M${x} ${y - 6}l6.5 11h-13z`, class: "point equity" }),
};

function point(x, y, kind) {
  return (POINTS[kind] ?? POINTS.all)(x, y);
}

function said({ words, verdict }) {
  const once = known(verdict.low) && known(verdict.high) ? range(verdict.low, verdict.high, gain) : "too short for one";
  const watched = known(verdict.cs_low) && known(verdict.cs_high)
    ? `; watched daily: ${range(verdict.cs_low, verdict.cs_high, gain)}`
    : "";
  return `${words}: ${gain(verdict.crps_skill)}; 95 % interval, one look: ${once}${watched}; `
    + `${verdict.verdict.replace("_", " ")}`;
}
