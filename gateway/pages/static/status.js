/* The status page: drawn from /showcase/status, and drawn again when that changes. */

import { ageText, now, setClock, tick } from "./ages.js";
import { element, fill } from "./elements.js";
import { durationText, markOf, scheduleText, slotsText } from "./schedule.js";
import { instant, number } from "./wording.js";

const EVERY_MS = 15_000;
const N_SLOTS = 48;
const N_ROWS = 200; // of a table, until more are asked for

const byId = (id) => document.getElementById(id);
const badge = (word, tip = null) => element("b", { class: `badge ${word}`, "data-tip": tip }, word);
const badgeOf = { ok: "ok", partial: "partial", failed: "failed", interrupted: "failed", missed: "missed" };
const plural = (n, noun) => `${number(n)} ${noun}${n === 1 ? "" : "s"}`;

function aged(at, after = " ago") {
  const time = element("time", { datetime: at, "data-age": true, "data-tip": instant(at) }, ageText((now() - Date.parse(at)) / 1000));
  return element("span", { class: "nowrap" }, time, after);
}

function when(at) {
  return element("time", { datetime: at, class: "nowrap" }, instant(at));
}

// -- what needs a look ----------------------------------------------------------------------------------------------------

function troubles(status) {
  const found = [];
  if (!status.database.reachable) found.push(`The database cannot be reached${status.database.since ? ` since ${instant(status.database.since)}` : ""}.`);
  const failed = status.jobs.filter((job) => job.last !== null && !["ok", "skipped", "running"].includes(job.last.status));
  if (failed.length > 0) found.push(`The newest run did not go well: ${failed.map((job) => `${job.job} (${job.last.status})`).join(", ")}.`);
  const missed = status.jobs.filter((job) => job.n_missed_7d > 0);
  if (missed.length > 0) found.push(`Slots were missed in the last seven days: ${missed.map((job) => `${job.job} ${job.n_missed_7d}`).join(", ")}.`);
  const stale = status.freshness.filter((row) => row.stale).length;
  if (stale > 0) found.push(`${plural(stale, "forecast")} of ${number(status.freshness.length)} ${stale === 1 ? "is" : "are"} stale.`);
  if (status.server.configured && status.server.ready === false) found.push("The inference server is not ready.");
  if (status.verified !== null && status.verified.status !== "ok") found.push("The last check of the ledger found a difference.");
  return found;
}

function drawSummary(status) {
  const found = troubles(status);
  const told = found.length === 0
    ? element("p", { class: "notice good" }, "Everything that is on record runs as it should.")
    : element("div", { class: "notice warn" }, element("strong", {}, `${plural(found.length, "thing")} to look at`),
      element("ul", {}, ...found.map((text) => element("li", {}, text))));
  if (byId("summary").textContent !== told.textContent) fill(byId("summary"), told);
}

// -- tiles ---------------------------------------------------------------------------------------------------------------

function tile(key, label, value, basis) {
  const why = element("button", { type: "button", class: "why", "data-why": key, popovertarget: `why-${key}`, "aria-describedby": `why-${key}`, "aria-label": `About ${label.toLowerCase()}` });
  return element("div", { class: "tile", "data-tile": key }, element("span", { class: "label" }, `${label} `, why),
    element("span", { class: "value" }, value), element("span", { class: "basis" }, basis));
}

function drawTiles(status) {
  const ran = status.jobs.filter((job) => job.last !== null);
  const well = ran.filter((job) => ["ok", "running", "skipped"].includes(job.last.status)).length;
  const fresh = status.freshness.filter((row) => !row.stale).length;
  const { server, verified, database } = status;
  const ready = !server.configured ? "none known" : server.ready === true ? "ready" : server.ready === false ? "not ready" : "not asked yet";
  const focused = document.activeElement?.closest?.("#tiles button")?.dataset.why;
  fill(byId("tiles"),
    tile("database", "Database", database.reachable ? "reachable" : "away", database.since ? `since ${instant(database.since)}` : `read ${status.read_at ? instant(status.read_at) : "never"}`),
    tile("runs", "Jobs", `${well} of ${ran.length} ok`, `${status.jobs.length - ran.length} of ${status.jobs.length} never ran here`),
    tile("fresh", "Forecasts", `${number(fresh)} of ${number(status.freshness.length)} fresh`, status.freshness.length ? `newest ${ageText(Math.min(...status.freshness.map((row) => row.age_seconds)))} old` : "none issued yet"),
    tile("server", "Inference server", ready, server.checked_at ? `seen ${instant(server.checked_at)}${server.models.length ? `: ${server.models.join(", ")}` : ""}` : "models run inside the jobs, or not at all"),
    tile("verify", "Ledger", verified === null ? "not checked yet" : verified.status === "ok" ? "checked" : "differs", verified === null ? "candlecast verify checks it" : `${instant(verified.at)}${verified.n_rows === null ? "" : `, ${plural(verified.n_rows, "row")}`}`),
    tile("cache", "Cache", `${number(status.cache.entries)} answers`, `${number(status.cache.bytes / 2 ** 20, 1)} MiB · version ${status.version}`));
  if (focused) document.querySelector(`#tiles button[data-why="${focused}"]`)?.focus();
}

// -- jobs ----------------------------------------------------------------------------------------------------------------

function strip(job) {
  const newest = job.slots.slice(0, N_SLOTS).reverse();
  const text = slotsText(job.slots, instant);
  const empty = Array.from({ length: N_SLOTS - newest.length }, () => element("span", { class: "slot none" }));
  const marks = newest.map(({ slot, status }) => element("span", { class: `slot ${markOf(status)}`, "data-tip": `${instant(slot)}: ${status}` }));
  return element("div", { class: "strip", role: "img", tabindex: "0", "aria-label": text, "data-tip": text }, ...empty, ...marks);
}

function lastRun(job) {
  if (job.last === null) return [element("span", { class: "soft" }, "never ran here")];
  const { last } = job;
  const counts = [[last.n_ok, "ok"], [last.n_failed, "failed"], [last.n_skipped, "skipped"]].filter(([n]) => n > 0).map(([n, word]) => `${number(n)} ${word}`);
  const facts = [last.seconds === null ? null : durationText(last.seconds), ...counts, `slot ${instant(last.slot)}`].filter((fact) => fact !== null);
  return [badge(badgeOf[last.status] ?? last.status), " ", last.finished_at ? aged(last.finished_at) : "", element("small", {}, facts.join(" · "))];
}

function drawJobs(status) {
  const focused = document.activeElement?.closest?.("#jobs tr")?.dataset.job;
  fill(byId("jobs"), ...status.jobs.map((job) => element("tr", { "data-job": job.job },
    element("th", { scope: "row" }, job.job, element("small", { "data-tip": job.schedule }, scheduleText(job.schedule))),
    element("td", {}, when(job.next_at)), element("td", {}, ...lastRun(job)), element("td", {}, strip(job)),
    element("td", { class: "n" }, job.n_missed_7d > 0 ? element("b", { class: "badge missed" }, number(job.n_missed_7d)) : "0"))));
  if (focused) document.querySelector(`#jobs tr[data-job="${CSS.escape(focused)}"] .strip`)?.focus();
}

// -- freshness -------------------------------------------------------------------------------------------------------------

const sorting = { by: "stale", down: true, all: false };

function sorted(rows) {
  const sign = sorting.down ? -1 : 1;
  const compare = (one, other, key) => (one[key] < other[key] ? -1 : one[key] > other[key] ? 1 : 0);
  return [...rows].sort((one, other) => sign * compare(one, other, sorting.by) || compare(other, one, "age_seconds") || compare(one, other, "symbol"));
}

function drawFreshness(status) {
  const stale = status.freshness.filter((row) => row.stale).length;
  byId("fresh-count").textContent = `${number(status.freshness.length)}, ${stale === 0 ? "none stale" : `${number(stale)} stale`}`;
  const rows = sorted(byId("stale-only").checked ? status.freshness.filter((row) => row.stale) : status.freshness);
  const shown = sorting.all ? rows : rows.slice(0, N_ROWS);
  const focused = document.activeElement?.closest?.("#freshness a")?.getAttribute("href");
  const drawn = shown.map((row) => {
    const marks = [row.synthetic ? "synthetic" : null, row.status === "on_time" ? null : row.status].filter((mark) => mark !== null);
    return element("tr", { "data-row": `${row.symbol} ${row.interval}` },
      element("th", { scope: "row" }, element("a", { href: `/instrument/${encodeURIComponent(row.symbol)}?interval=${row.interval}` }, row.symbol)),
      element("td", {}, row.interval), element("td", {}, row.model_name), element("td", { class: "n" }, aged(row.issued_at, "")),
      element("td", {}, when(row.expected_next_at)),
      element("td", {}, badge(row.stale ? "stale" : "fresh"), ...marks.flatMap((mark) => [" ", badge(mark)]),
        row.stale ? element("span", { class: "reason" }, ` ${row.stale_reason}`) : null));
  });
  const nothing = status.freshness.length === 0 ? "No forecast has been issued yet. Run candlecast predict." : "No forecast is stale.";
  fill(byId("freshness"), ...(drawn.length > 0 ? drawn : [element("tr", {}, element("td", { colspan: "6", class: "soft" }, nothing))]));
  byId("more").hidden = shown.length === rows.length;
  byId("more").textContent = `Show all ${number(rows.length)}`;
  if (focused) document.querySelector(`#freshness a[href="${CSS.escape(focused)}"]`)?.focus();
}

// -- ledger ----------------------------------------------------------------------------------------------------------------

function drawLedger(status) {
  const { verified, sealed } = status;
  const checked = verified === null
    ? "Nobody has checked the ledger yet: candlecast verify does."
    : `${verified.status === "ok" ? "Checked and found whole" : "Checked, and a difference was found"} ${instant(verified.at)}${verified.n_rows === null ? "" : ` (${plural(verified.n_rows, "row")})`}.`;
  byId("verified").textContent = `${checked} ${sealed === null ? "No day has been sealed yet." : `Sealed up to ${sealed.day}.`}`;
  const rows = status.ledger.map((chain) => element("tr", { "data-chain": `${chain.model_name} ${chain.interval}` },
    element("th", { scope: "row" }, `${chain.model_name}, ${chain.interval}`), element("td", { class: "n" }, number(chain.n_rows)),
    element("td", {}, element("code", { "data-tip": chain.head }, chain.head.slice(0, 16)), "…"),
    element("td", {}, when(chain.updated_at)), element("td", {}, chain.sealed_day ?? "not yet")));
  fill(byId("ledger"), ...(rows.length > 0 ? rows : [element("tr", {}, element("td", { colspan: "5", class: "soft" }, "The ledger is empty."))]));
}

// -- asking ---------------------------------------------------------------------------------------------------------------

let newest = null;
let etag = null;
let timer = 0;
let asking = null;

function draw() {
  for (const part of [drawSummary, drawTiles, drawJobs, drawFreshness, drawLedger]) part(newest);
  const text = `As of ${instant(newest.now)}.`;
  if (byId("read-at").textContent !== text) byId("read-at").textContent = text;
}

function away(text) {
  if (byId("away").textContent !== text) byId("away").textContent = text;
  byId("away").hidden = text === "";
}

async function look() {
  clearTimeout(timer);
  if (asking !== null) return;
  asking = new AbortController();
  const giveUp = setTimeout(() => asking?.abort(), 10_000);
  try {
    const answer = await fetch("/showcase/status", { cache: "no-store", headers: etag === null ? {} : { "if-none-match": etag }, signal: asking.signal });
    setClock(answer.headers.get("date"));
    if (answer.status === 200) {
      etag = answer.headers.get("etag");
      newest = await answer.json();
      draw();
    } else if (answer.status !== 304) throw new Error(`the answer was ${answer.status}`);
    away("");
  } catch {
    away(newest === null
      ? "The status cannot be read. It is asked for again every few seconds."
      : `Candlecast cannot be reached. What you see is as of ${instant(newest.now)}; it is asked for again every few seconds.`);
    if (newest === null) for (const waiting of document.querySelectorAll(".skeleton")) waiting.classList.remove("skeleton");
  } finally {
    clearTimeout(giveUp);
    asking = null;
    if (!document.hidden) timer = setTimeout(look, EVERY_MS);
  }
}

for (const button of document.querySelectorAll("button.sort")) {
  button.addEventListener("click", () => {
    sorting.down = sorting.by === button.dataset.sort ? !sorting.down : ["age_seconds", "stale"].includes(button.dataset.sort);
    sorting.by = button.dataset.sort;
    for (const other of document.querySelectorAll("button.sort")) other.closest("th").removeAttribute("aria-sort");
    button.closest("th").setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
    if (newest !== null) drawFreshness(newest);
  });
}
byId("stale-only").addEventListener("change", () => newest !== null && drawFreshness(newest));
byId("more").addEventListener("click", () => {
  sorting.all = true;
  drawFreshness(newest);
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else look();
});
setInterval(() => document.hidden || tick(), 5_000);
look();
