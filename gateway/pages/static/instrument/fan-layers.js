/* What is painted by hand around uPlot's bands: candles, earlier fans, the issue line, releases, the chosen step, labels.
 *
 * A painter gets `scene`: the canvas context, the columns, the places in view, the colours, and `px(x)`, `py(price)` in
 * canvas pixels; `dot` is one CSS pixel. */

import { earlierBand, DRAWN_LEVELS, served } from "./chart-data.js";
import { clock, decimalsOf, number, shortDay } from "../wording.js";

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

/** Under everything: earlier 80 % bands, dimmed, each with its median dashed. */
export function paintPrevious(scene) {
  const { ctx, chart, colours, px, py, dot } = scene;
  for (const earlier of [...chart.previous].reverse()) {
    trace(ctx, earlier.x.map(px), earlier.high.map(py));
    trace(ctx, earlier.x.map(px).reverse(), earlier.low.map(py).reverse(), true);
    ctx.closePath();
    ctx.fillStyle = colours.previousFill;
    ctx.fill();
    ctx.lineWidth = dot;
    ctx.strokeStyle = colours.previous;
    for (const [values, dash] of [[earlier.high, []], [earlier.low, []], [earlier.middle, [4 * dot, 3 * dot]]]) {
      ctx.setLineDash(dash);
      trace(ctx, earlier.x.map(px), values.map(py));
      ctx.stroke();
    }
    ctx.setLineDash([]);
  }
}

/** Vertical marks of releases; those that are still to come are dashed. Labels stand above the plot, in two rows. */
export function paintEvents(scene) {
  const { ctx, colours, px, dot, box } = scene;
  ctx.font = `600 ${10.5 * dot}px ${FONT}`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  for (const marker of scene.flags) {
    const x = Math.round(px(marker.x)) + 0.5;
    ctx.strokeStyle = colours.event;
    ctx.lineWidth = dot;
    ctx.setLineDash(marker.scheduled ? [2 * dot, 4 * dot] : [5 * dot, 3 * dot]);
    line(ctx, x, box.top - 4 * dot, x, box.top + box.height);
    ctx.setLineDash([]);
    if (marker.row !== null) {
      ctx.fillStyle = colours.event;
      ctx.fillText(marker.family, x, box.top - (12 + 14 * marker.row) * dot);
    }
  }
}

/** Which markers are in view, and in which row each label finds room; null where there is none. */
export function placeFlags(chart, low, high, px, dot, box) {
  const ends = [box.left, box.left];
  return chart.events
    .filter((marker) => marker.x >= low && marker.x <= high)
    .map((marker) => {
      const centre = px(marker.x);
      const row = centre + 17 * dot > box.left + box.width ? -1 : ends.findIndex((end) => centre - 17 * dot >= end);
      if (row >= 0) ends[row] = centre + 17 * dot;
      return { ...marker, row: row >= 0 ? row : null };
    });
}

/** The moment of issue: what is left of it was known, what is right of it was not. */
export function paintIssue(scene) {
  const { ctx, chart, colours, px, dot, box } = scene;
  const x = Math.round(px(0)) + 0.5;
  ctx.strokeStyle = colours.ink;
  ctx.lineWidth = 1.5 * dot;
  line(ctx, x, box.top, x, box.top + box.height);
  const issued = Date.parse(chart.forecast.issued_at);
  label(scene, `issued ${shortDay(issued)} ${clock(issued)} UTC`, x, box.top + box.height - 16 * dot, "beside");
}

/** Beyond the chosen step the fan fades. */
export function paintBeyond(scene) {
  const { ctx, colours, px, box, chart, step } = scene;
  if (step >= chart.last) return;
  const from = px(step);
  ctx.globalAlpha = 0.62;
  ctx.fillStyle = colours.card;
  ctx.fillRect(from, box.top, box.left + box.width - from, box.height);
  ctx.globalAlpha = 1;
}

/** Candles: hollow when the close is above the open, filled when it is below. Too narrow for bodies: range and closes. */
export function paintBars(scene) {
  const { ctx, chart, colours, px, py, dot, low, high } = scene;
  const slot = px(1) - px(0);
  const narrow = slot < 3.2 * dot;
  const body = Math.max(dot, Math.round(slot * 0.66));
  const from = Math.max(chart.first, Math.floor(low));
  const closes = [];
  for (let x = from; x <= Math.min(chart.last, Math.ceil(high)); x += 1) {
    const index = chart.at(x);
    if (chart.close[index] === null || chart.close[index] === undefined) continue;
    const centre = Math.round(px(x)) + (dot % 2 ? 0.5 : 0);
    const [open, top, bottom, close] = ["open", "high", "low", "close"].map((name) => py(chart[name][index]));
    if (narrow) {
      ctx.strokeStyle = colours.range;
      ctx.lineWidth = Math.max(dot, slot * 0.7);
      line(ctx, px(x), top, px(x), Math.max(bottom, top + 1));
      closes.push([px(x), close]);
      continue;
    }
    const up = chart.close[index] >= chart.open[index];
    const colour = up ? colours.up : colours.down;
    const upper = Math.min(open, close);
    const height = Math.max(dot, Math.abs(open - close));
    ctx.strokeStyle = colour;
    ctx.lineWidth = dot;
    line(ctx, centre, top, centre, upper);
    line(ctx, centre, upper + height, centre, bottom);
    if (up && height > 2 * dot && body > 2 * dot) {
      ctx.fillStyle = colours.card;
      ctx.fillRect(centre - body / 2, upper, body, height);
      ctx.strokeRect(centre - body / 2 + dot / 2, upper + dot / 2, body - dot, height - dot);
    } else {
      ctx.fillStyle = colour;
      ctx.fillRect(centre - body / 2, upper, body, height);
    }
  }
  if (closes.length > 0) {
    ctx.strokeStyle = colours.ink;
    ctx.lineWidth = 1.25 * dot;
    trace(ctx, closes.map(([x]) => x), closes.map(([, y]) => y));
    ctx.stroke();
  }
}

/** Along the lower edge: a tick per bar that a forecast in view had spoken about, tall and dark where the close fell
 * outside its 80 % band. */
export function paintHits(scene) {
  const { ctx, chart, colours, px, dot, box, low, high } = scene;
  const width = Math.max(dot, 0.6 * (px(1) - px(0)));
  for (let x = Math.max(chart.first, Math.ceil(low)); x <= Math.min(chart.last, high); x += 1) {
    const close = chart.close[chart.at(x)];
    if (close === null || close === undefined) continue;
    const band = x > 0 ? { low: served(chart.forecast, x, 0.1), high: served(chart.forecast, x, 0.9) } : earlierBand(chart, x);
    if (band === null) continue;
    const hit = band.low <= close && close <= band.high;
    const height = (hit ? 2 : 7) * dot;
    ctx.fillStyle = hit ? colours.previous : colours.miss;
    ctx.fillRect(px(x) - width / 2, box.top + box.height - height, width, height);
  }
}

/** The chosen step: the 80 % band as a bracket, the median as a dot. */
export function paintStep(scene) {
  const { ctx, chart, colours, px, py, dot, step, box } = scene;
  const x = px(step);
  const [low, middle, high] = [0.1, 0.5, 0.9].map((level) => py(served(chart.forecast, step, level)));
  ctx.strokeStyle = colours.median;
  ctx.lineWidth = dot;
  ctx.setLineDash([dot, 3 * dot]);
  line(ctx, x, box.top, x, box.top + box.height);
  ctx.setLineDash([]);
  ctx.lineWidth = 2 * dot;
  line(ctx, x, low, x, high);
  for (const y of [low, high]) line(ctx, x - 5 * dot, y, x + 5 * dot, y);
  ctx.beginPath();
  ctx.arc(x, middle, 4 * dot, 0, 2 * Math.PI);
  ctx.fillStyle = colours.card;
  ctx.fill();
  ctx.stroke();
}

/** At the right edge: which line is which, and where it ends. Labels keep apart from each other. */
export function paintLabels(scene) {
  const { ctx, chart, colours, py, dot, box, high, roomy } = scene;
  const x = Math.min(chart.last, Math.floor(high));
  const index = chart.at(x);
  if (x < 1) return;
  const decimals = decimalsOf(chart.forecast.last_close);
  const labels = DRAWN_LEVELS.map((level, at) => ({
    text: level === 0.5 ? "median" : `${Math.round(level * 100)} %`,
    value: chart.fan[at][index],
    strong: level === 0.5 || level === 0.1 || level === 0.9,
  }));
  for (const one of labels) one.y = Math.min(Math.max(py(one.value), box.top), box.top + box.height);
  apart(labels.reverse(), 13.5 * dot, box.top, box.top + box.height);
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  const left = box.left + box.width + 6 * dot;
  for (const one of labels) {
    ctx.font = `${one.strong ? 600 : 400} ${11 * dot}px ${FONT}`;
    ctx.fillStyle = one.strong ? colours.ink : colours.soft;
    ctx.fillText(one.text, left, one.y);
    if (roomy) {
      ctx.textAlign = "right";
      ctx.fillText(number(one.value, decimals), left + 124 * dot, one.y);
      ctx.textAlign = "left";
    }
  }
}

/** Move labels, ordered from the top, so that neighbours are `gap` apart and none leaves the plot. */
function apart(labels, gap, top, bottom) {
  labels.forEach((one, index) => {
    one.y = Math.max(one.y, index === 0 ? top : labels[index - 1].y + gap);
  });
  [...labels].reverse().forEach((one, index, all) => {
    one.y = Math.min(one.y, index === 0 ? bottom : all[index - 1].y - gap);
  });
}

function label(scene, text, x, y) {
  const { ctx, colours, dot, box } = scene;
  ctx.font = `${11 * dot}px ${FONT}`;
  const width = ctx.measureText(text).width;
  const right = x + width + 12 * dot < box.left + box.width;
  const left = right ? x + 6 * dot : x - 6 * dot - width;
  ctx.globalAlpha = 0.85;
  ctx.fillStyle = colours.card;
  ctx.fillRect(left - 3 * dot, y - 8 * dot, width + 6 * dot, 16 * dot);
  ctx.globalAlpha = 1;
  ctx.fillStyle = colours.ink;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  ctx.fillText(text, left, y);
}

function line(ctx, x0, y0, x1, y1) {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

function trace(ctx, xs, ys, goOn = false) {
  if (!goOn) ctx.beginPath();
  xs.forEach((x, index) => (index === 0 && !goOn ? ctx.moveTo(x, ys[index]) : ctx.lineTo(x, ys[index])));
}
