/* From the chart document to columns over one axis.
 *
 * The axis counts bars, not hours: 0 is the newest bar that the forecast knew, -1 the bar before it, and step k stands
 * at k. So nights and weekends take no room, and a step's place is its number. */

export const DRAWN_LEVELS = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95];
const PRICES = ["open", "high", "low", "close", "volume"];

/** The value of a fan's row at a level; between two served levels the straight line between them. */
export function valueAt(level, levels, values) {
  const above = levels.findIndex((known) => known >= level - 1e-9);
  if (above < 0) return null;
  if (Math.abs(levels[above] - level) < 1e-9) return values[above];
  if (above === 0) return null;
  const share = (level - levels[above - 1]) / (levels[above] - levels[above - 1]);
  return values[above - 1] + share * (values[above] - values[above - 1]);
}

/** The quantile that was served at a level exactly. */
export function served(forecast, step, level) {
  return valueAt(level, forecast.levels, forecast.fan[step - 1]);
}

/** Where the close of a step fell against the 80 % band: "inside", "above", "below", or null while it is open. */
export function verdictOf(forecast, step, close) {
  if (close === null || close === undefined) return null;
  if (close < served(forecast, step, 0.1)) return "below";
  return close > served(forecast, step, 0.9) ? "above" : "inside";
}

/** Everything that is drawn and read out, by place on the axis.
 *
 * `outcome`: whether the bars after the issue are shown. `x` rises by one; every column has one value per place, null
 * where there is none. `at(x)` is the index of a place. */
export function columnsOf(document, outcome) {
  const { forecast, bars, after } = document;
  const issued = Date.parse(forecast.issued_at);
  const past = bars.closed_at.map((text) => Date.parse(text));
  const gap = past.length === 0 || past.at(-1) < issued; // the newest bar is not on record
  if (gap) past.push(issued);
  const times = [...past, ...forecast.target_at.map((text) => Date.parse(text))];
  const first = 1 - past.length;
  const x = times.map((_, index) => first + index);
  const columns = Object.fromEntries(PRICES.map((name) => [name, [...bars[name]]]));
  const then = new Map(after.closed_at.map((text, index) => [Date.parse(text), index]));
  for (const name of PRICES) {
    if (gap) columns[name].push(null);
    for (const time of times.slice(past.length)) {
      const index = outcome ? then.get(time) : undefined;
      columns[name].push(index === undefined ? null : after[name][index]);
    }
  }
  const outcomes = forecast.target_at.map((text) => after.close[then.get(Date.parse(text))] ?? null);
  const unknown = Array(past.length - 1).fill(null);
  const fan = DRAWN_LEVELS.map((level) => [
    ...unknown,
    forecast.last_close,
    ...forecast.fan.map((values) => valueAt(level, forecast.levels, values)),
  ]);
  const chart = { document, forecast, outcome, times, x, first, last: forecast.horizon, fan, outcomes, ...columns };
  chart.at = (place) => place - first;
  chart.previous = document.previous.map((earlier) => previousOf(earlier, chart)).filter((one) => one.x.length > 1);
  chart.events = eventsOf(document.events.map((event) => (outcome || Date.parse(event.at) <= issued ? event : unseen(event))), chart);
  chart.judged = judge(forecast, outcomes);
  return chart;
}

/** The place of an instant: on the straight line between the closes around it; null outside the axis. */
export function placeOf(time, chart) {
  const { times, first } = chart;
  if (time < times[0] || time > times.at(-1)) return null;
  let low = 0;
  let high = times.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < time) low = middle + 1;
    else high = middle;
  }
  if (times[low] === time) return first + low;
  return first + low - (times[low] - time) / (times[low] - times[low - 1]);
}

function previousOf(earlier, chart) {
  const kept = { ...earlier, x: [], low: [], middle: [], high: [] };
  const add = (at, low, middle, high) => {
    const place = placeOf(Date.parse(at), chart);
    if (place === null || place > 0 || low === null || low === undefined) return; // beyond the issue the newer fan speaks
    kept.x.push(place);
    kept.low.push(low);
    kept.middle.push(middle);
    kept.high.push(high);
  };
  const start = placeOf(Date.parse(earlier.issued_at), chart);
  const close = start === null ? null : chart.close[chart.at(Math.round(start))];
  add(earlier.issued_at, close, close, close);
  earlier.target_at.forEach((at, index) => add(at, earlier.p10[index], earlier.p50[index], earlier.p90[index]));
  return kept;
}

/** The latest earlier forecast that speaks of a bar, and its band there; null where there is none. */
export function earlierBand(chart, place) {
  for (const earlier of chart.previous) {
    const index = earlier.x.indexOf(place);
    if (index > 0 || (index === 0 && earlier.low[0] !== earlier.high[0])) {
      return { earlier, low: earlier.low[index], middle: earlier.middle[index], high: earlier.high[index] };
    }
  }
  return null;
}

/** A release as it stood in the calendar before it was out. */
function unseen(event) {
  return { ...event, actual: null, scheduled: true };
}

/** Releases of one family at one instant stand under one marker. */
function eventsOf(events, chart) {
  const markers = new Map();
  for (const event of events) {
    const place = placeOf(Date.parse(event.at), chart);
    if (place === null) continue;
    const key = `${event.at} ${event.family}`;
    const marker = markers.get(key) ?? { at: event.at, family: event.family, scheduled: event.scheduled, x: place, entries: [] };
    marker.entries.push(event);
    markers.set(key, marker);
  }
  return [...markers.values()];
}

function judge(forecast, outcomes) {
  const said = outcomes.map((close, index) => verdictOf(forecast, index + 1, close));
  return {
    n: said.filter((one) => one !== null).length,
    nInside: said.filter((one) => one === "inside").length,
    said,
  };
}
