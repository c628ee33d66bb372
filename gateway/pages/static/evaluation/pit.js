/* The PIT histogram: which twentieth of the forecast range outcomes fell into, with the band that chance stays in. */

import { known, range, share } from "./estimates.js";
import { mark, show } from "./marks.js";
import { frame, roundTicks, scale, shape } from "./svg.js";
import { table } from "./tables.js";

const EVEN = 0.05;
const LEFT = 46;
const BOTTOM = 44;

/** Draw a cell of `pit` into a host of this width. */
export function drawPit(host, cell, width) {
  const height = Math.min(width, 420);
  const n = cell.shares.length;
  const ends = [...cell.shares, ...cell.raw_shares, ...cell.high].filter(known);
  const top = Math.max(2 * EVEN, ...ends) * 1.06;
  const x = scale(0, n, LEFT, width - 12);
  const y = scale(0, top, height - BOTTOM, 12);
  const svg = frame(width, height, "PIT histogram: share of outcomes in each twentieth of the forecast range. "
    + "Arrow keys walk through the bars.");

  const axes = shape("g", { "aria-hidden": "true" });
  for (const tick of roundTicks(0, top, 5)) {
    axes.append(
      shape("line", { class: "grid", x1: x(0), y1: y(tick), x2: x(n), y2: y(tick) }),
      shape("text", { class: "tick", x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, `${Math.round(100 * tick)}`),
    );
  }
  for (const tick of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
    axes.append(shape("text", { class: "tick", x: x(tick * n), y: y(0) + 16, "text-anchor": "middle" },
      `${Math.round(100 * tick)}`));
  }
  axes.append(
    shape("text", { class: "axis", x: (x(0) + x(n)) / 2, y: height - 6, "text-anchor": "middle" },
      "place in the forecast range, %"),
    shape("text", { class: "axis", transform: `translate(12 ${(y(0) + y(top)) / 2}) rotate(-90)`,
      "text-anchor": "middle" }, "outcomes, %"),
  );
  svg.append(axes);

  const gap = Math.min(3, (x(1) - x(0)) / 6);
  const marks = cell.shares.map((value, index) => {
    const [left, wide] = [x(index) + gap / 2, x(1) - x(0) - gap];
    const bar = shape("rect", { class: "bar served", x: left, y: y(value), width: wide, height: y(0) - y(value) });
    const raw = shape("line", { class: "rawline", x1: left, x2: left + wide, y1: y(cell.raw_shares[index]),
      y2: y(cell.raw_shares[index]) });
    return mark(left + wide / 2, y(value), said(cell, index), bar, raw);
  });
  svg.append(...marks.map(({ node }) => node));
  svg.append(...chanceBand(cell, x, y), shape("line", { class: "ideal", x1: x(0), x2: x(n), y1: y(EVEN), y2: y(EVEN) }));
  show(host, svg, marks, "x");
}

/** The same numbers as a table. */
export function pitTable(cell) {
  const rows = cell.shares.map((value, index) => [
    part(cell, index), share(value), share(cell.raw_shares[index]), range(cell.low[index], cell.high[index], share),
  ]);
  return table("Share of outcomes in each twentieth of the forecast range",
    ["Part of the range", "#As served", "#As the model gave it", "#What chance alone does"], rows);
}

function chanceBand(cell, x, y) {
  if (!cell.low.every(known) || !cell.high.every(known)) return [];
  const steps = (ends) => ends.map((end, k) => `${k ? "L" : "M"}${x(k)} ${y(end)}H${x(k + 1)}`).join("");
  return [shape("path", { class: "chance", d: steps(cell.low) }), shape("path", { class: "chance", d: steps(cell.high) })];
}

function part(cell, index) {
  const size = 100 / cell.shares.length;
  return `${Math.round(index * size)} to ${Math.round((index + 1) * size)} %`;
}

function said(cell, index) {
  const chance = known(cell.low[index]) && known(cell.high[index])
    ? `; chance alone: ${range(cell.low[index], cell.high[index], share)}`
    : "";
  return `${part(cell, index)} of the range; ${share(cell.shares[index])} of outcomes as served; `
    + `${share(cell.raw_shares[index])} as the model gave it${chance}`;
}
