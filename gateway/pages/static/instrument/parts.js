/* The parts of the page around the chart, each drawn anew from what is known. */

import { describeEvent } from "./fan-chart.js";
import { element, explained, fill } from "../elements.js";
import { age, counted, decimalsOf, instant, number, percent } from "../wording.js";

/** Under the title: the last close, when the forecast was issued, how old it is, and what kind of record it is. */
export function drawStanding(parent, answer, receivedAt) {
  const { forecast } = answer;
  const seconds = answer.age_seconds + (Date.now() - receivedAt) / 1000;
  const price = number(forecast.last_close, decimalsOf(forecast.last_close));
  const marks = [
    answer.synthetic ? ["synthetic", "Made from bars of a random generator"] : null,
    answer.status === "replay" ? ["replay", "Made after the fact as of its issue time"] : null,
    answer.status === "late" ? ["late", "Recorded after its first bar had closed"] : null,
    answer.stale ? ["stale", answer.stale_reason] : null,
    answer.newest ? null : ["older", "There is a newer forecast"],
  ].filter(Boolean);
  const next = answer.newest && !answer.stale && answer.expected_next_at
    ? ` · next expected ${instant(answer.expected_next_at)}`
    : "";
  fill(
    parent,
    element("strong", { class: "price" }, price),
    answer.quote_asset ? ` ${answer.quote_asset}` : null,
    element(
      "span",
      { class: "soft" },
      " · knew the market up to ",
      element("time", { datetime: forecast.issued_at }, instant(forecast.issued_at)),
      ", ",
      explained(`${age(seconds)} ago`, "The age of what the forecast knew, counted from its issue time"),
      next,
    ),
    ...marks.flatMap(([mark, why]) => [" ", element("b", { class: `badge ${mark}`, tabindex: "0", "data-tip": why, "aria-description": why }, mark)]),
  );
}

/** What to know before reading on; the last data stay under it while the API is away. */
export function drawNotices(parent, chart, { trouble, choice, receivedAt, newestHref }) {
  const { document: answer } = chart;
  const notices = [];
  if (trouble) {
    notices.push([`${trouble.detail} What you see was read ${instant(receivedAt)}; it is asked for again by itself.`, "bad"]);
  }
  if (answer.notice) notices.push([answer.notice, answer.synthetic || answer.status === "late" ? "warn" : "kind"]);
  if (answer.stale_reason) {
    const reason = answer.stale_reason.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z/g, instant);
    notices.push([`This forecast is stale. ${reason[0].toUpperCase()}${reason.slice(1)}.`, "warn"]);
  }
  const lines = notices.map(([text, kind]) => element("p", { class: `notice ${kind}`, role: "status" }, text));
  if (choice.id && !answer.newest) {
    lines.push(
      element(
        "p",
        { class: "notice newer", role: "status" },
        `This is the forecast as it was seen ${instant(answer.status === "replay" ? answer.forecast.issued_at : answer.seen_at)}. A newer forecast is there: `,
        element("a", { href: newestHref }, "show the newest"),
        ".",
      ),
    );
  }
  const told = lines.map((line) => line.textContent).join();
  if (parent.dataset.told === told) return; // a region that is live is not filled with what it says already
  parent.dataset.told = told;
  fill(parent, ...lines);
}

/** The values at the crosshair, or at the chosen step. */
export function drawReading(parent, reading) {
  const values = reading.values.map(([name, text, value, strong]) =>
    element(
      "div",
      { class: strong ? "strong" : null },
      element("dt", {}, name),
      element("dd", { "data-value": value }, text),
    ),
  );
  fill(
    parent,
    element("p", { class: "where" }, element("strong", {}, reading.title), ` ${reading.time}`),
    element("dl", {}, ...values),
    element("p", { class: "remarks" }, reading.remarks.join(". ")),
  );
}

/** Earlier fans of the same model and interval, and how many of their closes the 80 % band held. */
export function drawEarlier(parent, chart) {
  const { document: answer, forecast, judged, outcome } = chart;
  const own = outcome && judged.n > 0
    ? [{ issued_at: forecast.issued_at, n_judged: judged.n, n_inside: judged.nInside, own: true }]
    : [];
  const rows = [...own, ...answer.previous];
  if (rows.length === 0) {
    fill(parent, element("p", {}, `There is no earlier forecast by ${forecast.model_name} here.`));
    return;
  }
  const heads = [
    ["Issued", "Up to when the forecast knew the market"],
    ["Inside 80 %", "How many of the closes that are known by now fell between its 10 % and 90 % quantiles"],
    ["Share", "80 % is what the band promises"],
  ];
  const list = rows.map((one) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, one.own ? `${instant(one.issued_at)} (shown)` : element("a", { href: one.href }, instant(one.issued_at))),
      element("td", { class: "n" }, one.n_judged ? `${number(one.n_inside)} of ${number(one.n_judged)}` : "open"),
      element("td", { class: "n" }, one.n_judged ? percent(one.n_inside / one.n_judged) : ""),
    ),
  );
  fill(
    parent,
    element(
      "table",
      { class: "plain" },
      element("caption", { class: "hidden" }, "Earlier forecasts, and how many closes their 80 % bands held"),
      element("thead", {}, element("tr", {}, ...heads.map(([head, why], at) => element("th", { scope: "col", class: at ? "n" : null }, explained(head, why))))),
      element("tbody", {}, ...list),
    ),
    element("p", { class: "meta" }, "The bars of one forecast are not independent of each other: a market that left the band stays out for a while."),
  );
}

/** Releases between the first bar and the last step: the same as the markers on the chart. */
export function drawReleases(parent, chart) {
  if (chart.events.length === 0) {
    fill(parent, element("p", {}, "None on record between the first bar and the last step."));
    return;
  }
  const list = [...chart.events].reverse().map((marker) =>
    element("li", {}, element("span", { class: "soft" }, instant(marker.at)), element("span", {}, describeEvent(marker))),
  );
  fill(parent, element("ul", { class: "releases" }, ...list));
}

/** Who made it, from what, and where the ledger has it. */
export function drawFacts(parent, answer, address) {
  const { forecast } = answer;
  const facts = [
    ["Model", forecast.model_name],
    ["Version", explained(element("code", {}, forecast.model_version.slice(0, 12)), `Hash of weights and settings: ${forecast.model_version}`)],
    ["Issued", instant(forecast.issued_at)],
    ["Recorded", instant(forecast.generated_at)],
    ["Horizon", counted(forecast.horizon, "bar")],
    ["Sample paths", forecast.n_paths ? number(forecast.n_paths) : "none: its quantiles come from formulas"],
    ["Bands", forecast.corrected ? "corrected by how wide earlier bands proved to be" : "as the model gave them"],
    ["Prediction", element("code", {}, forecast.prediction_id)],
    ["As JSON", element("a", { href: address }, "this chart")],
  ];
  const note = answer.note ? [element("div", { class: "note" }, element("dt", {}, "Bars"), element("dd", {}, answer.note))] : [];
  fill(parent, ...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))), ...note);
}
