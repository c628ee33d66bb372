/* The reliability diagram: how often outcomes lay under each level of the fan, served and raw, with their intervals. */

import { known, range, share } from "./estimates.js";
import { mark, show } from "./marks.js";
import { frame, scale, shape } from "./svg.js";
import { table } from "./tables.js";

const TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1];
const LEFT = 46;
const BOTTOM = 44;

/** Draw a cell of `reliability` into a host of this width. */
export function drawReliability(host, cell, width) {
  const height = Math.min(width, 420);
  const x = scale(0, 1, LEFT, width - 12);
  const y = scale(0, 1, height - BOTTOM, 12);
  const svg = frame(width, height, "Reliability diagram: level of the fan against the share of outcomes below it. "
    + "Arrow keys walk through the points.");
  svg.append(...grid(x, y, width, height));
  svg.append(shape("line", { class: "ideal", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }));

  const marks = [];
  for (const [points, kind, shift, words] of [
    [cell.raw_points, "raw", 3, "as the model gave it"],
    [cell.points, "served", -3, "as served"],
  ]) {
    const seen = points.filter(({ observed }) => known(observed));
    const path = seen.map((point, index) => `${index ? "L" : "M"}${x(point.nominal)} ${y(point.observed)}`).join("");
    svg.append(shape("path", { class: `through ${kind}`, d: path }));
    for (const point of seen) {
      const [px, py] = [x(point.nominal), y(point.observed)];
      if (known(point.low) && known(point.high)) {
        const at = px + shift;
        svg.append(shape("path", { class: `whisker ${kind}`,
          d: `M${at} ${y(point.low)}V${y(point.high)}M${at - 3} ${y(point.low)}h6M${at - 3} ${y(point.high)}h6` }));
      }
      const drawn = kind === "served"
        ? shape("circle", { class: "point served", cx: px, cy: py, r: 4.5 })
        : shape("rect", { class: "point raw", x: px - 3.5, y: py - 3.5, width: 7, height: 7 });
      marks.push({ kind, ...mark(px, py, said(point, words), drawn) });
    }
  }
  svg.append(...marks.map(({ node }) => node));
  marks.sort((one, other) => (one.kind === other.kind ? one.x - other.x : one.kind === "served" ? -1 : 1));
  show(host, svg, marks);
}

/** The same numbers as a table. */
export function reliabilityTable(cell) {
  const rows = cell.points.map((point, index) => {
    const raw = cell.raw_points[index];
    return [share(point.nominal), share(point.observed), range(point.low, point.high, share),
      share(raw.observed), range(raw.low, raw.high, share)];
  });
  return table("Share of outcomes below each level",
    ["#Level", "#As served", "#95 % interval", "#As the model gave it", "#95 % interval"], rows);
}

function said(point, words) {
  const interval = known(point.low) && known(point.high)
    ? `95 % interval ${range(point.low, point.high, share)}`
    : "too short for an interval";
  return `Level ${share(point.nominal)}, ${words}; ${share(point.observed)} of outcomes below; ${interval}`;
}

function grid(x, y, width, height) {
  const lines = TICKS.flatMap((tick) => [
    shape("line", { class: "grid", x1: x(tick), y1: y(0), x2: x(tick), y2: y(1) }),
    shape("line", { class: "grid", x1: x(0), y1: y(tick), x2: x(1), y2: y(tick) }),
    shape("text", { class: "tick", x: x(tick), y: y(0) + 16, "text-anchor": "middle" }, `${Math.round(100 * tick)}`),
    shape("text", { class: "tick", x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, `${Math.round(100 * tick)}`),
  ]);
  const across = shape("text", { class: "axis", x: (x(0) + x(1)) / 2, y: height - 6, "text-anchor": "middle" },
    "level of the fan, %");
  const up = shape("text", { class: "axis", transform: `translate(12 ${(y(0) + y(1)) / 2}) rotate(-90)`,
    "text-anchor": "middle" }, "outcomes below it, %");
  const all = shape("g", { "aria-hidden": "true" }, ...lines, across, up);
  return [all];
}
