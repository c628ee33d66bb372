/* The page of one instrument: what was chosen, what the API says of it, and every place on the page that shows it. */

import { columnsOf } from "./chart-data.js";
import { chartAddress, choiceOf, searchOf } from "./choice.js";
import { saveCsv, savePng } from "./download.js";
import { element, fill } from "../elements.js";
import { FanChart, SPANS } from "./fan-chart.js";
import { Feed, askAgain } from "./feed.js";
import { drawEarlier, drawFacts, drawNotices, drawReading, drawReleases, drawStanding } from "./parts.js";
import { readAt, sentenceOf } from "./read-out.js";
import { drawTable } from "./table-view.js";
import { Timeline } from "./timeline.js";
import { drawTrust } from "./trust.js";
import { instant } from "../wording.js";

const page = document.getElementById("instrument");
const symbol = page.dataset.symbol;
const charts = page.dataset.charts === "yes" && typeof uPlot !== "undefined";
const part = Object.fromEntries([...page.querySelectorAll("[id]")].map((node) => [node.id, node]));
const spans = [...page.querySelectorAll('input[name="span"]')];
const intervals = [...page.querySelectorAll('input[name="interval"]')];

let choice = choiceOf(location.search);
let chart = null; // columns of the document that is shown
let place = null; // the bar that the crosshair is at; null: the horizon is read
let span = "fan";
let receivedAt = 0; // when the age in the document was true
let trouble = null;
let trusted = ""; // for which model and record the trust panel was drawn
const timeline = new Timeline();

const fan = charts ? new FanChart(part.chart, { onPlace, onPick }) : null;
const feed = new Feed({ onDocument, onConfirmed, onTrouble });

/** What the page shows: for whoever compares it with the API. */
export function shown() {
  return { chart, place, step: chart ? step() : null, drawn: fan?.chart ? fan.drawn() : null, choice };
}

// -- the answer of the API ------------------------------------------------------------------------------------------

function onDocument(answer) {
  receivedAt = Date.now();
  trouble = null;
  const isNew = chart?.forecast.prediction_id !== answer.forecast.prediction_id;
  timeline.learn(answer);
  // A permalink hides what then happened until it is asked for; the newest forecast has nothing to hide.
  const outcome = choice.outcome ?? !choice.id;
  chart = columnsOf(answer, outcome);
  if (isNew) place = null;
  draw();
  if (isNew && choice.id && !answer.newest) learnNewest();
}

function onConfirmed() {
  if (trouble) {
    trouble = null;
    tellNotices();
  }
}

function onTrouble(problem) {
  const kept = chart !== null && isOf(chart.document);
  if (!kept && problem.status === 503 && feed.failures === 1) return; // not in the cache yet: it is asked for again at once
  trouble = problem;
  page.setAttribute("aria-busy", "false");
  part.failed.hidden = kept;
  part.shown.hidden = !kept;
  part.told.hidden = !kept;
  if (kept) {
    tellNotices();
    return;
  }
  const wrong = problem.status >= 400 && problem.status < 500 && problem.status !== 429;
  const title = wrong ? "There is no such forecast" : "The forecast cannot be read just now";
  part["failed-title"].textContent = problem.code === "nothing_predicted" ? "There is no forecast yet" : title;
  part["failed-why"].textContent = problem.detail;
  part.elsewhere.hidden = !(choice.id || choice.model) || problem.status === 0;
  part.issued.textContent = "–";
  part.standing.replaceChildren();
  part.notices.replaceChildren();
}

/** Whether a document is the one that was chosen, so that it may stay while the API is away. */
function isOf(answer) {
  const { forecast, interval } = answer;
  if (interval !== choice.interval || (choice.model && forecast.model_name !== choice.model)) return false;
  return choice.id ? forecast.prediction_id === choice.id : answer.newest;
}

/** The newest forecasts of the same model, so that "newer" has somewhere to go. */
async function learnNewest() {
  const { interval, forecast } = chart.document;
  try {
    timeline.learn((await askAgain(chartAddress(symbol, { interval, model: forecast.model_name, id: null }))).document);
  } catch {
    return; // the feed tells of trouble
  }
  drawSteps();
}

// -- drawing ----------------------------------------------------------------------------------------------------------

/** The chosen step, within the forecast. */
function step() {
  return Math.min(choice.step ?? chart.last, chart.last);
}

function draw() {
  const { document: answer, forecast } = chart;
  page.setAttribute("aria-busy", "false");
  part.failed.hidden = true;
  part.shown.hidden = false;
  part.told.hidden = false;
  drawStanding(part.standing, answer, receivedAt);
  tellNotices();
  drawChoices();
  drawSteps();
  fan?.show(chart, { step: step(), span });
  part.chart.setAttribute("aria-label", `Chart of ${symbol}: bars, and the forecast of ${instant(forecast.issued_at)} by ${forecast.model_name}`);
  drawStep();
  drawTable(part.table, chart);
  drawEarlier(part.earlier, chart);
  drawReleases(part.releases, chart);
  drawFacts(part.facts, answer, chartAddress(symbol, { interval: answer.interval, id: forecast.prediction_id }));
  part.permalink.href = href({ id: forecast.prediction_id });
  for (const name of ["png", "csv"]) part[name].disabled = name === "png" && !fan;
  const about = `${answer.interval} ${forecast.model_name} ${answer.status}`;
  if (about !== trusted) {
    trusted = about;
    drawTrust(part.trust, answer);
  }
}

function tellNotices() {
  drawNotices(part.notices, chart, { trouble, choice, receivedAt, newestHref: href({ id: null }) });
}

function drawChoices() {
  const { document: answer, forecast } = chart;
  for (const input of intervals) input.checked = input.value === answer.interval;
  part.model.replaceChildren(
    ...answer.models.map((name) => new Option(name, name, false, name === forecast.model_name)),
  );
  part.model.disabled = false;
  part.outcome.disabled = chart.judged.n === 0;
  part.outcome.checked = chart.outcome && chart.judged.n > 0;
  part.outcome.parentElement.title = chart.judged.n === 0 ? "No bar has closed since this forecast was issued." : "";
}

function drawSteps() {
  const { older, newer } = timeline.around(chart.document);
  part.issued.textContent = instant(chart.forecast.issued_at);
  for (const [button, target] of [[part.older, older], [part.newer, newer]]) {
    button.disabled = !target;
    button.title = target ? `The forecast of ${instant(target.issued_at)}` : "";
  }
}

/** Everything that depends on the chosen step or the crosshair. */
function drawStep() {
  const chosen = step();
  part.told.textContent = sentenceOf(chart, chosen).join(" ");
  Object.assign(part.step, { max: String(chart.last), value: String(chosen), disabled: false });
  const target = instant(chart.forecast.target_at[chosen - 1]);
  part.step.setAttribute("aria-valuetext", `step ${chosen} of ${chart.last}, ${target}`);
  fill(part["step-said"], `step ${chosen} of ${chart.last}`, element("span", { class: "when" }, ` · ${target}`));
  drawReading(part.reading, readAt(chart, place ?? chosen));
}

// -- what the reader does ---------------------------------------------------------------------------------------------

function href(changes) {
  return `/instrument/${encodeURIComponent(symbol)}${searchOf({ ...choice, outcome: null, ...changes })}`;
}

/** Take a choice: into the address, and onto the page; `keep` replaces the entry of the history. */
function choose(changes, keep = false) {
  const before = choice;
  choice = { ...choice, ...changes };
  history[keep ? "replaceState" : "pushState"](null, "", searchOf(choice));
  apply(before);
}

function apply(before) {
  if (chartAddress(symbol, before) !== chartAddress(symbol, choice)) {
    page.setAttribute("aria-busy", "true");
    feed.follow(chartAddress(symbol, choice));
    return;
  }
  if (!chart) return;
  const outcome = choice.outcome ?? !choice.id;
  if (outcome !== chart.outcome) {
    chart = columnsOf(chart.document, outcome);
    draw();
    return;
  }
  fan?.show(chart, { step: step(), span });
  drawStep();
}

function onPlace(x) {
  if (x === place) return;
  place = x;
  const reading = readAt(chart, place ?? step());
  drawReading(part.reading, reading);
  if (x !== null) say(reading.sentence);
}

function onPick(x) {
  if (x >= 1) choose({ step: x }, true);
}

let saying = 0;

/** Tell assistive technology, at most twice a second, and only where the crosshair came to rest. */
function say(sentence) {
  clearTimeout(saying);
  saying = setTimeout(() => {
    part.said.textContent = sentence;
  }, 500);
}

function walk(way) {
  const target = timeline.around(chart.document)[way];
  // The newest forecast is shown as such, so that the page goes on following it.
  if (target) choose({ id: target.newest ? null : target.prediction_id, model: chart.forecast.model_name });
}

function showTable(open) {
  part["table-view"].hidden = !open;
  part["table-toggle"].setAttribute("aria-expanded", String(open));
}

function zoom(by) {
  span = SPANS[Math.min(SPANS.length - 1, Math.max(0, SPANS.indexOf(span) + by))];
  for (const input of spans) input.checked = input.value === span;
  fan?.show(chart, { step: step(), span });
}

const KEYS = {
  ArrowLeft: () => moveTo((place ?? step()) - 1),
  ArrowRight: () => moveTo((place ?? step()) + 1),
  Home: () => moveTo(-Infinity),
  End: () => moveTo(Infinity),
  ArrowUp: () => walk("newer"),
  ArrowDown: () => walk("older"),
  Enter: () => place !== null && onPick(place),
  Escape: () => fan?.release(),
  "+": () => zoom(-1),
  "-": () => zoom(1),
  t: () => showTable(part["table-view"].hidden),
};

function moveTo(x) {
  fan?.pointAt(Math.min(fan.high, Math.max(fan.low, x)));
}

part.chart.addEventListener("keydown", (event) => {
  const act = KEYS[event.key];
  if (!act || !chart || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act();
});
part.chart.addEventListener("blur", () => fan?.release());
part.choices.addEventListener("submit", (event) => event.preventDefault());
for (const input of intervals) {
  input.addEventListener("change", () => choose({ interval: input.value, id: null, step: null, outcome: null }));
}
for (const input of spans) {
  input.addEventListener("change", () => {
    span = input.value;
    if (chart) fan?.show(chart, { step: step(), span });
  });
}
part.model.addEventListener("change", () => choose({ model: part.model.value, id: null }));
part.outcome.addEventListener("change", () => choose({ outcome: part.outcome.checked }, true));
for (const way of ["older", "newer"]) part[way].addEventListener("click", () => walk(way));
part.step.addEventListener("input", () => {
  place = null;
  choose({ step: Number(part.step.value) }, true);
});
part["table-toggle"].addEventListener("click", () => showTable(part["table-view"].hidden));
part.retry.addEventListener("click", () => feed.again());
part.csv.addEventListener("click", () => saveCsv(chart));
part.png.addEventListener("click", () => {
  savePng(chart, fan, sentenceOf(chart, step()), href({ id: chart.forecast.prediction_id }));
});
addEventListener("popstate", () => {
  const before = choice;
  choice = choiceOf(location.search);
  apply(before);
});
setInterval(() => chart && drawStanding(part.standing, chart.document, receivedAt), 1000);

if (!fan) {
  part.chart.hidden = true;
  part["no-chart"].hidden = false;
  showTable(true);
}
for (const input of intervals) input.checked = input.value === choice.interval;
feed.follow(chartAddress(symbol, choice));
