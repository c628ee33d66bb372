/* What the crosshair reads: a bar, or a step of the fan, as names and values; and the same as one sentence. */

import { describeEvent } from "./fan-chart.js";
import { earlierBand, served, valueAt, verdictOf } from "./chart-data.js";
import { amount, decimalsOf, instant, move, number, quantileName } from "../wording.js";

const SAID = { inside: "inside the 80\u202f% band", above: "above the 80\u202f% band", below: "below the 80\u202f% band" };

/** What there is to say about a place: `{title, values: [[name, text, value, strong]], remarks: [text], sentence}`. */
export function readAt(chart, x) {
  const time = instant(chart.times[chart.at(x)]);
  const remarks = chart.events.filter((marker) => Math.ceil(marker.x) === x).map(describeEvent);
  return x > 0 ? readStep(chart, x, time, remarks) : readBar(chart, x, time, remarks);
}

function readStep(chart, step, time, remarks) {
  const { forecast } = chart;
  const decimals = decimalsOf(forecast.last_close);
  const values = forecast.levels.map((level) => {
    const value = valueAt(level, forecast.levels, forecast.fan[step - 1]);
    return [quantileName(level), number(value, decimals), value, level === 0.1 || level === 0.5 || level === 0.9];
  });
  const close = chart.close[chart.at(step)];
  const said = verdictOf(forecast, step, close);
  if (said !== null) remarks.unshift(`Closed at ${number(close, decimals)}: ${SAID[said]}`);
  const [low, middle, high] = [0.1, 0.5, 0.9].map((level) => number(served(forecast, step, level), decimals));
  return {
    title: `Step ${step} of ${forecast.horizon}`,
    time,
    values,
    remarks,
    sentence: [`Step ${step}, ${time}: median ${middle}, 80 % band ${low} to ${high}`, ...remarks].join(". "),
  };
}

function readBar(chart, x, time, remarks) {
  const index = chart.at(x);
  const decimals = decimalsOf(chart.forecast.last_close);
  const known = chart.close[index] !== null && chart.close[index] !== undefined;
  const title = x === 0 ? "Last bar the forecast knew" : `${-x} ${x === -1 ? "bar" : "bars"} before`;
  if (!known) return { title, time, values: [], remarks: ["No bar on record", ...remarks], sentence: `${time}: no bar on record` };
  const named = [["Open", "open"], ["High", "high"], ["Low", "low"], ["Close", "close"]];
  const values = named.map(([name, column]) => [
    name, number(chart[column][index], decimals), chart[column][index], column === "close",
  ]);
  const before = chart.close[index - 1];
  if (before) values.push(["Change", move(before, chart.close[index]), null, false]);
  if (chart.volume[index]) values.push(["Volume", amount(chart.volume[index]), chart.volume[index], false]);
  const band = earlierBand(chart, x);
  if (band !== null) {
    const inside = band.low <= chart.close[index] && chart.close[index] <= band.high;
    remarks.unshift(
      `The forecast of ${instant(band.earlier.issued_at)} said ${number(band.low, decimals)} to ` +
        `${number(band.high, decimals)} four times out of five: the close is ${inside ? "inside" : "outside"}`,
    );
  }
  const prices = values.slice(0, 4).map(([name, text]) => `${name.toLowerCase()} ${text}`).join(", ");
  return { title, time, values, remarks, sentence: [`${time}: ${prices}`, ...remarks].join(". ") };
}

/** The forecast in one plain sentence, for a step; then, where the outcome is shown, what came of it. */
export function sentenceOf(chart, step) {
  const { forecast, document } = chart;
  const decimals = decimalsOf(forecast.last_close);
  const at = Date.parse(forecast.target_at[step - 1]);
  const [low, middle, high] = [0.1, 0.5, 0.9].map((level) => served(forecast, step, level));
  const unit = document.quote_asset ? ` ${document.quote_asset}` : "";
  const should = at > Date.now() ? "should be" : "was to be";
  const told =
    `By ${instant(at)} the price ${should} between ${number(low, decimals)} and ${number(high, decimals)}${unit} ` +
    `four times out of five; median ${number(middle, decimals)} (${move(forecast.last_close, middle)}).`;
  const sentences = [told];
  const close = chart.outcome ? chart.outcomes[step - 1] : null;
  const said = verdictOf(forecast, step, close);
  if (said !== null) sentences.push(`It closed at ${number(close, decimals)} (${move(forecast.last_close, close)}), ${SAID[said]}.`);
  const { n, nInside } = chart.judged;
  const far = n < forecast.horizon ? " so far" : "";
  if (chart.outcome && n > 0) sentences.push(`Inside the band${far}: ${number(nInside)} of ${number(n)} closes.`);
  return sentences;
}
