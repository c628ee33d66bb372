/* Numbers of the evaluation as text: shares, skills and ratios with their intervals; what nobody knows is a dash. */

import { number, percent } from "../wording.js";

export const NONE = "–";
const THIN = "\u202f";

export const CLASSES = {
  all: "All classes",
  crypto: "Crypto",
  forex_commodity: "Currencies and commodities",
  equity: "Stocks, funds and indices",
};
export const SHORT_CLASSES = { all: "All", crypto: "Crypto", forex_commodity: "Currencies", equity: "Stocks" };
export const RECORDS = { live: "Live", late: "Late", replay: "Replay", synthetic: "Synthetic" };
export const INTERVALS = { "1h": "Hourly", "1d": "Daily" };
export const VERDICTS = { better: "Better", worse: "Worse", undecided: "Undecided", not_compared: "Not compared" };

/** Whether there is such a number. */
export function known(value) {
  return value !== null && value !== undefined && Number.isFinite(value);
}

/** A share of outcomes: 79.4 %. */
export function share(value) {
  return known(value) ? percent(value, 1) : NONE;
}

/** A gain or a loss, with its sign: +1.6 %. */
export function gain(value) {
  return known(value) ? signed(percent(value, 1), value) : NONE;
}

/** A ratio with two decimals, with a sign where `plus` says so. */
export function ratio(value, plus = false) {
  if (!known(value)) return NONE;
  return plus ? signed(number(value, 2), value) : number(value, 2);
}

/** The ends of an interval, each told by `tell`; a dash where the record is too short for one. */
export function range(low, high, tell) {
  return known(low) && known(high) ? `${tell(low)} to ${tell(high)}` : NONE;
}

/** How many independent outcomes: 3.5 of few, 128 of many. */
export function worth(value) {
  return known(value) ? number(value, value < 100 ? 1 : 0) : NONE;
}

/** A p-value: 0.03, or < 0.01; a dash where there is no test. */
export function chance(value) {
  if (!known(value)) return NONE;
  return value < 0.01 ? `<${THIN}0.01` : number(value, 2);
}

/** A class of instruments in words. */
export function className(name) {
  return CLASSES[name] ?? name;
}

/** How far ahead in words: "next bar", "24 bars ahead", "all steps". */
export function ahead(step) {
  if (step === 0) return "all steps";
  return step === 1 ? "next bar" : `${step} bars ahead`;
}

function signed(text, value) {
  return value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
}
