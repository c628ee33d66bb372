/* The chart of one forecast: uPlot draws axes, bands and the crosshair, fan-layers.js the rest.
 *
 * What is drawn stands in `drawn()`: the very columns that uPlot got, for whoever wants to compare them. */

import { DRAWN_LEVELS } from "./chart-data.js";
import * as layers from "./fan-layers.js";
import { ticksOf } from "./time-ticks.js";
import { decimalsOf, number } from "../wording.js";

const COLOURS = {
  card: "--card", ink: "--ink", soft: "--soft", grid: "--chart-grid", edge: "--fan-edge", median: "--median",
  outer: "--fan-90", middle: "--fan-80", inner: "--fan-50", previous: "--past-line", previousFill: "--past-fan",
  up: "--up", down: "--down", range: "--bar-range", event: "--event", miss: "--down",
};
const ROOMY = 700; // CSS pixels from which labels carry their prices

export const SPANS = ["step", "fan", "all"];

/** The places that a span shows: around the chosen step, the whole fan with as much past as fits, or everything. */
export function placesOf(span, chart, step, width) {
  const least = Math.round(chart.last / 2);
  const wide = Math.min(-chart.first, Math.max(least, Math.round(width / 5.2) - chart.last));
  const [low, high] = {
    step: [-Math.max(18, Math.round(1.2 * step)), Math.max(step + 2, Math.round(1.12 * step))],
    fan: [-wide, chart.last],
    all: [chart.first, chart.last],
  }[span];
  return [Math.max(low, chart.first), Math.min(high, chart.last)];
}

export class FanChart {
  /** `onPlace(x)` hears which bar the crosshair is at, null when it is gone; `onPick(x)` which bar was clicked. */
  constructor(holder, { onPlace, onPick }) {
    Object.assign(this, { holder, onPlace, onPick, chart: null, plot: null, step: 1, span: "fan", pointed: null });
    this.resized = new ResizeObserver(() => this.#fit());
    this.resized.observe(holder);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", () => this.redraw());
  }

  /** Draw columns of `columnsOf`, up to a step, at a span. */
  show(chart, { step, span }) {
    const [low, high] = placesOf(span, chart, step, this.holder.clientWidth);
    const stays = this.chart === chart && this.low === low && this.high === high;
    Object.assign(this, { chart, step, span, low, high });
    if (stays && this.plot) this.plot.redraw(false);
    else this.redraw();
  }

  /** Draw everything anew, with the colours of now. */
  redraw() {
    if (!this.chart) return;
    this.colours = readColours(this.holder);
    this.plot?.destroy();
    this.holder.replaceChildren();
    this.plot = new uPlot(this.#options(), this.#columns(), this.holder);
    this.#follow();
    const pointed = this.pointed; // the crosshair outlives its canvas
    if (pointed !== null) queueMicrotask(() => this.pointAt(Math.min(this.high, Math.max(this.low, pointed))));
  }

  /** The columns as drawn: `{x, close, p05, …}` with the places in view. */
  drawn() {
    const [x, close, ...fan] = this.plot.data;
    const names = [...this.#order()].map((level) => `p${String(Math.round(100 * level)).padStart(2, "0")}`);
    const columns = Object.fromEntries(names.map((name, index) => [name, fan[index]]));
    return { x, close, ...columns, low: this.low, high: this.high, flags: this.flags, step: this.step };
  }

  /** Put the crosshair on a bar. */
  pointAt(x) {
    const index = this.chart.at(x);
    const price = this.chart.close[index] ?? this.chart.fan[DRAWN_LEVELS.indexOf(0.5)][index];
    this.plot.setCursor({ left: this.plot.valToPos(x, "x"), top: this.plot.valToPos(price, "y") });
  }

  /** Take the crosshair away. */
  release() {
    this.plot?.setCursor({ left: -10, top: -10 });
  }

  /** The canvas, to be copied into a picture. */
  get canvas() {
    return this.plot.ctx.canvas;
  }

  #order() {
    return [0.95, 0.05, 0.9, 0.1, 0.75, 0.25, 0.5]; // pairs from the outer band inwards, the median last
  }

  #columns() {
    const { x, close, fan } = this.chart;
    return [x, close, ...this.#order().map((level) => fan[DRAWN_LEVELS.indexOf(level)])];
  }

  #size() {
    const width = Math.max(280, this.holder.clientWidth);
    return { width, height: width >= ROOMY ? 480 : 380 };
  }

  #fit() {
    const { width } = this.#size();
    if (!this.plot || Math.abs(this.plot.width - width) < 1) return;
    [this.low, this.high] = placesOf(this.span, this.chart, this.step, width);
    this.redraw();
  }

  #options() {
    const { width, height } = this.#size();
    const roomy = width >= ROOMY;
    const hidden = () => null;
    const line = (stroke, width) => ({ stroke, width, points: { show: false } });
    const { edge, median, outer, middle, inner, soft, grid } = this.colours;
    const font = "11px system-ui, -apple-system, Segoe UI, Roboto, sans-serif";
    const axis = { stroke: soft, font, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 5 } };
    const decimals = tickDecimals(this.#priceRange());
    return {
      width,
      height,
      padding: [this.chart.events.length > 0 ? 34 : 12, roomy ? 136 : 52, 0, 0],
      legend: { show: false },
      select: { show: false },
      cursor: {
        drag: { x: false, y: false, setScale: false },
        points: { show: false },
        move: (plot, left, top) => [left < 0 ? left : plot.valToPos(this.#nearest(plot.posToVal(left, "x")), "x"), top],
      },
      scales: {
        x: { time: false, range: () => [this.low - 0.7, this.high + 0.7] },
        y: { range: () => this.#priceRange() },
      },
      axes: [
        {
          ...axis,
          splits: (plot) => this.#ticks(plot).map(({ x }) => x),
          values: (plot) => this.#ticks(plot).map(({ label }) => label),
          gap: 6,
          size: 30,
        },
        { ...axis, size: (_, values) => axisWidth(values), gap: 6, values: (_, splits) => splits.map((value) => number(value, decimals)) },
      ],
      series: [
        {},
        { paths: hidden, points: { show: false } },
        line(outer, 1), line(outer, 1), line(edge, 1), line(edge, 1), line(inner, 0), line(inner, 0), line(median, 2),
      ],
      bands: [
        { series: [2, 3], fill: outer },
        { series: [4, 5], fill: middle },
        { series: [6, 7], fill: inner },
      ],
      hooks: {
        drawAxes: [(plot) => this.#paint(plot, [layers.paintPrevious, layers.paintEvents])],
        draw: [
          (plot) =>
            this.#paint(plot, [
              layers.paintBeyond, layers.paintIssue, layers.paintBars, layers.paintHits, layers.paintStep,
            ]),
          (plot) => this.#paint(plot, [layers.paintLabels], false),
          (plot) => this.#raise(plot),
        ],
        setCursor: [(plot) => this.#point(plot)],
      },
    };
  }

  #point(plot) {
    if (plot !== this.plot) return; // one that is being made or taken away
    this.pointed = plot.cursor.left < 0 ? null : this.#nearest(plot.posToVal(plot.cursor.left, "x"));
    this.onPlace(this.pointed);
  }

  #ticks(plot) {
    const width = plot.bbox.width / devicePixelRatio;
    const room = plot.width >= ROOMY ? 62 : 46;
    return ticksOf(this.chart, this.low, this.high, (room / width) * (this.high - this.low));
  }

  #nearest(x) {
    return Math.min(this.high, Math.max(this.low, Math.round(x)));
  }

  #priceRange() {
    const { chart, low, high } = this;
    const seen = [];
    for (let x = low; x <= high; x += 1) {
      const index = chart.at(x);
      seen.push(chart.low[index], chart.high[index], chart.fan[0][index], chart.fan.at(-1)[index]);
    }
    for (const earlier of chart.previous) {
      earlier.x.forEach((x, index) => x >= low && x <= high && seen.push(earlier.low[index], earlier.high[index]));
    }
    const known = seen.filter((value) => value !== null && value !== undefined);
    const bottom = Math.min(...known);
    const top = Math.max(...known);
    const margin = 0.05 * (top - bottom) || 0.01 * Math.abs(top) || 1;
    return [bottom - 2 * margin, top + margin];
  }

  #paint(plot, painters, clipped = true) {
    const dot = devicePixelRatio;
    const box = plot.bbox;
    const px = (x) => plot.valToPos(x, "x", true);
    const py = (price) => plot.valToPos(price, "y", true);
    this.flags = layers.placeFlags(this.chart, this.low, this.high, px, dot, box);
    const { ctx } = plot;
    ctx.save();
    if (clipped) {
      ctx.beginPath();
      ctx.rect(box.left, 0, box.width, box.top + box.height);
      ctx.clip();
    }
    const scene = { ...this, ctx, px, py, dot, box, roomy: plot.width >= ROOMY };
    for (const painter of painters) painter(scene);
    ctx.restore();
  }

  /** Clicks, taps, and a finger that moves along. */
  #follow() {
    const { over } = this.plot;
    over.addEventListener("click", (event) => this.onPick(this.#nearest(this.plot.posToVal(event.offsetX, "x"))));
    over.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch") this.plot.setCursor({ left: event.offsetX, top: event.offsetY });
    });
  }

  /** What hovering over the label of a release says: an empty element on each, with a title. */
  #raise(plot) {
    plot.over.querySelectorAll(".flag").forEach((flag) => flag.remove());
    for (const marker of this.flags.filter(({ row }) => row !== null)) {
      const flag = document.createElement("span");
      flag.className = "flag";
      flag.dataset.tip = describeEvent(marker);
      flag.style.left = `${plot.valToPos(marker.x, "x") - 17}px`;
      flag.style.top = `${-19 - 14 * marker.row}px`;
      plot.over.append(flag);
    }
  }
}

/** A release in a line: what, when, what was expected and what came. */
export function describeEvent(marker) {
  const told = marker.entries.map(({ event, actual, forecast }) => {
    const said = [
      actual === null ? null : `came in at ${number(actual, digitsOf(actual))}`,
      forecast === null ? null : `expected ${number(forecast, digitsOf(forecast))}`,
    ].filter(Boolean);
    return said.length ? `${event} ${said.join(", ")}` : event;
  });
  return `${marker.family}${marker.scheduled ? " (scheduled)" : ""}: ${told.join("; ")}`;
}

function digitsOf(value) {
  return Math.min(4, (String(value).split(".")[1] ?? "").length);
}

function readColours(holder) {
  const style = getComputedStyle(holder);
  return Object.fromEntries(Object.entries(COLOURS).map(([name, property]) => [name, style.getPropertyValue(property).trim()]));
}

function axisWidth(values) {
  return Math.max(34, ...(values ?? []).map((text) => 12 + 6.4 * text.length));
}

function tickDecimals([bottom, top]) {
  return Math.max(0, Math.min(8, 2 - Math.floor(Math.log10(top - bottom || 1)), decimalsOf(top)));
}
