/* Where the axis of bars says the time: at the first bar of an hour, day, week, month or year, as room allows. */

import { clock, month, shortDay } from "../wording.js";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

// From fine to coarse: in which unit an instant lies, and how the first bar of a unit is labelled.
const UNITS = [
  ...[1, 3, 6, 12].map((hours) => ({
    unit: (time) => Math.floor(time / (hours * HOUR)),
    label: (time) => (time % DAY < HOUR ? shortDay(time) : clock(time)),
  })),
  ...[1, 2, 4].map((days) => ({ unit: (time) => Math.floor(time / (days * DAY)), label: shortDay })),
  ...[1, 2].map((weeks) => ({ unit: (time) => Math.floor((time / DAY + 3) / (7 * weeks)), label: shortDay })),
  ...[1, 3, 12].map((months) => ({
    unit: (time) => {
      const date = new Date(time);
      return Math.floor((12 * date.getUTCFullYear() + date.getUTCMonth()) / months);
    },
    label: month,
  })),
];

/** Ticks between two places: `{x, label}`, at least `room` places apart on average. */
export function ticksOf(chart, low, high, room) {
  const from = Math.max(chart.first + 1, Math.ceil(low));
  const to = Math.min(chart.last, Math.floor(high));
  for (const { unit, label } of UNITS) {
    const found = [];
    for (let x = from; x <= to; x += 1) {
      const time = chart.times[chart.at(x)];
      if (unit(time) !== unit(chart.times[chart.at(x - 1)])) found.push({ x, label: label(time) });
    }
    const crowded = found.some((tick, index) => index > 0 && tick.x - found[index - 1].x < 0.8 * room);
    if (found.length * room <= high - low && !crowded) return found;
  }
  return [];
}
