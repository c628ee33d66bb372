/* Numbers and times in the words of the pages: thin spaces group digits, the minus is a minus, and times are UTC. */

const THIN = "\u202f";
const MINUS = "\u2212";
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Decimals with which a price of this size is usually quoted. */
export function decimalsOf(price) {
  const size = Math.abs(price);
  if (!(size > 0)) return 2;
  if (size >= 100) return 2;
  if (size >= 10) return 3;
  return Math.min(8, 4 - Math.floor(Math.log10(size)) + (size >= 1 ? 1 : 0));
}

/** A number with grouped digits; nothing known is a dash. */
export function number(value, decimals = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const [whole, fraction] = Math.abs(value).toFixed(decimals).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, THIN);
  const text = fraction ? `${grouped}.${fraction}` : grouped;
  return value < 0 && /[1-9]/.test(text) ? MINUS + text : text;
}

/** A large count, rounded to three digits: 12.3 M. */
export function amount(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  for (const [unit, sign] of [[1e9, "bn"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit) return `${number(value / unit, size >= 100 * unit ? 0 : 1)}${THIN}${sign}`;
  }
  return number(value, size >= 100 || Number.isInteger(value) ? 0 : 2);
}

/** A share in per cent. */
export function percent(share, decimals = 0) {
  return share === null || share === undefined ? "–" : `${number(100 * share, decimals)}${THIN}%`;
}

/** The move between two prices with its sign: in per cent, or as a difference where the first has no per cent. */
export function move(from, to) {
  const size = from > 0 ? (100 * (to - from)) / from : to - from;
  const text = number(Math.abs(size), from > 0 ? 1 : decimalsOf(size));
  const sign = /[1-9]/.test(text) ? (size < 0 ? MINUS : "+") : "±";
  return `${sign}${text}${from > 0 ? `${THIN}%` : ""}`;
}

/** A day: "Tue 3 Jun", with its year unless that is this year's. */
export function day(at) {
  const date = new Date(at);
  const year = date.getUTCFullYear() === new Date().getUTCFullYear() ? "" : ` ${date.getUTCFullYear()}`;
  return `${DAYS[date.getUTCDay()]} ${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}${year}`;
}

/** A day without weekday and year, for places where there is little room: "3 Jun". */
export function shortDay(at) {
  const date = new Date(at);
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
}

/** A month: "Jun", and the year instead in January. */
export function month(at) {
  const date = new Date(at);
  return date.getUTCMonth() === 0 ? String(date.getUTCFullYear()) : MONTHS[date.getUTCMonth()];
}

/** The time of day: "16:00". */
export function clock(at) {
  return new Date(at).toISOString().slice(11, 16);
}

/** An instant: "Tue 3 Jun 16:00 UTC". */
export function instant(at) {
  return `${day(at)} ${clock(at)} UTC`;
}

/** An age as people say it. */
export function age(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${number(Math.floor(seconds / 86400))} days`;
}

/** `n` things. */
export function counted(n, noun) {
  return `${number(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** A level as a quantile's name: p05. */
export function quantileName(level) {
  return `p${String(Math.round(level * 100)).padStart(2, "0")}`;
}
