/* The page /evaluation: one document per record and bars, read from the API, and drawn for the model, class and step
that the address names. What is shown stays when a later reading fails. */

import { cellTable, csvOf, same } from "./cells.js";
import { asked, drawChoices, keep, missing, settled, unknown } from "./choices.js";
import { save } from "../save.js";
import { element, fill } from "../elements.js";
import { INTERVALS, RECORDS, SHORT_CLASSES, ahead, className, share, worth } from "./estimates.js";
import { fiveTable } from "./five-tests.js";
import { drawPit, pitTable } from "./pit.js";
import { drawReliability, reliabilityTable } from "./reliability.js";
import { drawSkill, skillTable } from "./skill.js";
import { drawnToWidth } from "./svg.js";
import { table } from "./tables.js";
import { evidence, fillTiles } from "./tiles.js";
import { age, counted, day, instant, number } from "../wording.js";

const ADDRESS = "/showcase/evaluation";
const AGAIN_MS = 300_000;
const OVERDUE_S = 36 * 3600; // the evaluation is made once a day

const page = document.getElementById("evaluation");
const form = document.getElementById("filters");
const part = (id) => document.getElementById(id);
const slot = (kind, name) => page.querySelector(`[data-${kind}="${name}"]`);

let shown = null; // the document on the page
let choice = asked();
let told = unknown(choice); // sentences about what the address asked for and is not there
let settledOnce = false; // whether the address was taken at its word
let trouble = null; // why the newest reading failed
let readAt = 0;
let reading = 0;
const redraw = new Map(); // by chart

/** Read the document of a record and interval; where that fails, what is shown stays. */
async function read(record, interval) {
  const mine = (reading += 1);
  page.setAttribute("aria-busy", "true");
  const query = new URLSearchParams(Object.entries({ record, interval }).filter(([, value]) => value));
  try {
    const response = await fetch(query.size ? `${ADDRESS}?${query}` : ADDRESS, { headers: { accept: "application/json" } });
    const body = await response.json();
    if (mine !== reading) return;
    if (!response.ok) throw new Error(body.detail ?? `The server answered ${response.status}.`);
    [shown, trouble, readAt] = [body, null, Date.parse(response.headers.get("date")) || Date.now()];
    if (!settledOnce) told.push(...missing(choice, shown));
    settledOnce = true;
    choice = settled(choice, shown);
    draw();
  } catch (error) {
    if (mine !== reading) return;
    const unread = error instanceof TypeError || error instanceof SyntaxError;
    trouble = unread ? "The server cannot be reached." : error.message;
    drawTrouble();
  } finally {
    if (mine === reading) page.setAttribute("aria-busy", "false");
  }
}

function draw() {
  const empty = shown.cells.length === 0;
  part("failed").hidden = true;
  part("nothing").hidden = !empty;
  part("shown").hidden = empty;
  form.hidden = empty && shown.available.length === 0;
  drawChoices(form, shown, choice);
  drawNotices();
  if (empty) drawNothing();
  else drawShown();
}

function drawNothing() {
  part("nothing-why").textContent = shown.notice ?? "";
  fill(part("elsewhere"), ...shown.available.map(({ record, interval }) =>
    element("a", { class: "button", href: `?${new URLSearchParams({ record, interval })}` },
      `${RECORDS[record]}, ${INTERVALS[interval].toLowerCase()}`)));
}

function drawNotices() {
  const texts = [];
  const empty = shown.cells.length === 0;
  if (shown.notice && !empty) texts.push(shown.notice);
  const old = (readAt - Date.parse(shown.made_at)) / 1000;
  if (old > OVERDUE_S) {
    texts.push(`The daily evaluation is overdue: what you see was made ${age(old)} ago, on ${instant(shown.made_at)}.`);
  }
  texts.push(...told);
  const notices = texts.map((text, index) => element("p", { class: index === 0 && shown.notice && !empty ? "notice" : "notice warn" }, text));
  if (trouble) {
    const again = element("button", { type: "button", class: "button", "data-retry": true }, "Try again");
    notices.unshift(element("p", { class: "notice bad trouble" },
      `The newest evaluation cannot be read: ${trouble} What you see is as of ${instant(shown.as_of ?? shown.made_at)}. `, again));
  }
  fill(part("notices"), ...notices);
}

function drawTrouble() {
  if (shown) {
    drawNotices();
    say(`The newest evaluation cannot be read. ${trouble}`);
    drawChoices(form, shown, choice);
    return;
  }
  part("shown").hidden = true;
  form.hidden = true;
  part("failed-why").textContent = trouble;
  part("failed").hidden = false;
  say("The evaluation cannot be read just now.");
}

function drawShown() {
  const place = { model_name: choice.model_name, asset_class: choice.asset_class, step: Number(choice.step) };
  const find = (rows) => rows.find((row) => same(row, place));
  const cell = find(shown.cells);
  const model = choice.model_name;
  fill(part("about"), `${model}: ${className(choice.asset_class).toLowerCase()}, ${ahead(place.step)} `,
    element("b", { class: `badge ${shown.record}` }, `${RECORDS[shown.record].toLowerCase()} record`));
  part("span").textContent = `${INTERVALS[shown.interval]} bars, as of ${instant(shown.as_of)}${cell
    ? `; outcomes from ${day(cell.first_day)} to ${day(cell.last_day)}` : ""}.`;
  const pooled = pooledOf(model);
  fill(part("sentence"), ...(pooled
    ? [element("strong", {}, "All classes and steps together: "), pooled.sentence]
    : [`${model} is what the others are compared with.`]));
  fillTiles(page, { cell, verdict: find(shown.verdicts), portfolio: find(shown.sharpe), model });

  const reliability = find(shown.reliability);
  chart("reliability", reliability, drawReliability, reliabilityTable, ({ points }) =>
    `${evidence(reliability.n, reliability.n_days, reliability.n_eff)}. ${intervals(points.every(({ low }) => low === null))}`);
  const pit = find(shown.pit);
  chart("pit", pit, drawPit, pitTable, ({ p_value: p, low }) =>
    `${evidence(pit.n, pit.n_days, pit.n_eff)}. ${low.every((end) => end === null)
      ? "The record is too short for a test of even shares." : `Even shares: p ${number(p, 2)}.`}`);

  const tell = { counted: number, worth, days: (days) => (days === null ? "–" : number(Math.ceil(days))) };
  const cells = skillRows(model);
  chart("horizons", cells, drawSkill, (rows) => skillTable("Skill by bars ahead and class", "Cell", rows, tell), () =>
    `${model}, ${shown.record} record. n and n_eff of each row stand in the table.`);
  const models = modelRows();
  chart("models", models, drawSkill, (rows) => skillTable("Skill of every model", "Model", rows, tell), () =>
    `${counted(models.length, "model")} beside baseline-rw, ${shown.record} record.`);

  fill(slot("table", "five"), fiveTable(shown.five_tests, model));
  drawAlarms();
  fill(slot("table", "cells"), cellTable(shown, model));
  part("json").href = `${ADDRESS}?${new URLSearchParams({ record: shown.record, interval: shown.interval })}`;
  part("csv").disabled = false;
}

function pooledOf(model) {
  return shown.verdicts.find((one) => same(one, { model_name: model, asset_class: "all", step: 0 }));
}

function intervals(none) {
  return none ? "The record is too short for intervals." : "Bars are 95 % intervals.";
}

/** One row per step and class of a model, first those of all steps pooled. */
function skillRows(model) {
  const row = (step, name) => ({
    group: ahead(step), shortGroup: step ? `${step} ${step === 1 ? "bar" : "bars"}` : "all",
    label: className(name), shortLabel: SHORT_CLASSES[name] ?? name,
    words: `${className(name)}, ${ahead(step)}`, kind: name,
    verdict: shown.verdicts.find((one) => same(one, { model_name: model, asset_class: name, step })) ?? null,
  });
  return [0, ...shown.steps].flatMap((step) => shown.classes.map((name) => row(step, name)));
}

function modelRows() {
  return shown.models.filter((name) => pooledOf(name)).map((name) => (
    { group: "", shortGroup: "", label: name, shortLabel: name.replace("baseline-", ""), words: name, kind: "all", verdict: pooledOf(name) }
  ));
}

/** Draw a figure: the chart, what is told of it, and its table; without data it says so. */
function chart(name, data, drawn, tabled, words) {
  const host = part(`plot-${name}`);
  if (!data || data.length === 0) {
    redraw.set(name, () => fill(host, element("p", { class: "soft" }, "Nothing to draw for this choice.")));
    slot("told", name).textContent = "n 0 · n_eff 0";
    slot("table", name).replaceChildren();
  } else {
    redraw.set(name, (width) => drawn(host, data, width));
    slot("told", name).textContent = words(data);
    fill(slot("table", name), tabled(data));
  }
  if (host.again) host.again();
  else host.again = drawnToWidth(host, (width) => redraw.get(name)(width));
}

function drawAlarms() {
  const alarms = shown.leak_alarms.filter(({ model_name: name }) => name === choice.model_name);
  fill(part("alarms"), alarms.length === 0
    ? element("p", {}, "None. No served band is better than the best baseline’s beyond what is honest.")
    : element("ul", { class: "alarms" }, ...alarms.map((one) => element("li", {},
      `${className(one.asset_class)}, ${ahead(one.step)}: interval score ${number(one.interval_score, 3)} against `
      + `${number(one.baseline_score, 3)} of ${one.best_baseline}. Look for a leak before anything else.`))));
  const voids = shown.voids.filter(({ model_name: name }) => name === choice.model_name);
  fill(slot("table", "voids"), voids.length === 0
    ? element("p", {}, "None: every pair of this model whose outcome is known was judged.")
    : table("Voids of this model", ["Reason", "#Pairs"], voids.map((one) => [one.reason, number(one.n)])));
}

function say(text) {
  part("said").textContent = text;
}

form.addEventListener("change", ({ target }) => {
  const before = choice;
  choice = { ...choice, [target.name]: target.value };
  keep(choice);
  told = [];
  if (target.name === "record" || target.name === "interval") {
    if (target.name === "record") choice.interval = intervalOf(target.value, before.interval);
    void read(choice.record, choice.interval).then(() => {
      if (trouble) choice = before;
      keep(choice);
      if (trouble) drawChoices(form, shown, choice);
    });
    return;
  }
  draw();
  say(`Showing ${choice.model_name}, ${className(choice.asset_class)}, ${ahead(Number(choice.step))}, ${shown.record} record.`);
});
form.addEventListener("submit", (event) => event.preventDefault());

/** The interval that a record is there for, the one before if it can be. */
function intervalOf(record, before) {
  const there = shown.available.filter((one) => one.record === record).map(({ interval }) => interval);
  return there.includes(before) ? before : there[0];
}

page.addEventListener("click", ({ target }) => {
  if (target.closest("[data-retry]")) void read(choice.record, choice.interval);
});
part("csv").addEventListener("click", () => {
  const file = new Blob([csvOf(shown.cells)], { type: "text/csv;charset=utf-8" });
  save(file, `candlecast-${shown.record}-${shown.interval}-${shown.as_of.slice(0, 10)}.csv`);
});

const refresh = () => {
  if (!document.hidden && Date.now() - refreshed > AGAIN_MS) {
    refreshed = Date.now();
    void read(choice.record, choice.interval);
  }
};
let refreshed = Date.now();
setInterval(refresh, AGAIN_MS / 5);
document.addEventListener("visibilitychange", refresh);
void read(choice.record, choice.interval);
