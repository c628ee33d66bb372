/* What is shown, kept in the address: record, bars, model, class and step. Opening the address shows the same again. */

import { element, fill } from "../elements.js";
import { INTERVALS, RECORDS, className } from "./estimates.js";

export const NAMES = ["record", "interval", "model_name", "asset_class", "step"];

/** What the address asks for; names that it does not give are null. */
export function asked(address = location) {
  const query = new URLSearchParams(address.search);
  return Object.fromEntries(NAMES.map((name) => [name, query.get(name)]));
}

/** Keep a choice in the address, in place of the one before. */
export function keep(choice) {
  const query = new URLSearchParams(NAMES.filter((name) => choice[name] !== null).map((name) => [name, choice[name]]));
  history.replaceState(null, "", `${location.pathname}?${query}${location.hash}`);
}

/** The choice that a document can show: what was asked where there is such a thing, else the first one there is. */
export function settled(wanted, shown) {
  const one = (name, options, first) => (options.map(String).includes(wanted[name]) ? wanted[name] : first);
  const { models, classes, steps } = shown;
  return {
    record: shown.record,
    interval: shown.interval,
    model_name: one("model_name", models, models[0] ?? null),
    asset_class: one("asset_class", classes, classes[0] ?? null),
    step: one("step", steps, steps.length ? String(steps[0]) : null),
  };
}

/** Sentences about records and bars that nobody knows; they are taken out of what was asked. */
export function unknown(wanted) {
  const names = { record: [RECORDS, "record"], interval: [INTERVALS, "length of bars"] };
  return Object.entries(names)
    .filter(([name, [options]]) => wanted[name] !== null && !Object.hasOwn(options, wanted[name]))
    .map(([name, [, word]]) => {
      const text = `There is no ${word} “${wanted[name].slice(0, 40)}”.`;
      wanted[name] = null;
      return text;
    });
}

/** Sentences about what was asked and is not there. */
export function missing(wanted, shown) {
  const said = { model_name: [shown.models, "model"], asset_class: [shown.classes, "class"], step: [shown.steps, "step"] };
  return Object.entries(said)
    .filter(([name, [options]]) => wanted[name] !== null && !options.map(String).includes(wanted[name]))
    .map(([name, [, word]]) => `There is no ${word} “${wanted[name].slice(0, 40)}” in this record.`);
}

/** Draw the controls for a choice. Records and bars are offered where there is an evaluation of them. */
export function drawChoices(form, shown, choice) {
  const there = (record, interval) => shown.available.some((one) => one.record === record && one.interval === interval);
  const records = Object.keys(RECORDS).filter((name) => shown.available.some(({ record }) => record === name));
  radios(form, "record", records.map((name) => [name, RECORDS[name], true]), choice.record);
  radios(form, "interval", Object.entries(INTERVALS).map(([name, text]) => [name, text, there(choice.record, name)]),
    choice.interval);
  radios(form, "step", shown.steps.map((step) => [String(step), String(step), true]), choice.step);
  options(form, "model_name", shown.models.map((name) => [name, name]), choice.model_name);
  options(form, "asset_class", shown.classes.map((name) => [name, className(name)]), choice.asset_class);
}

/** Radio buttons; they are left in place where they are the same, so that the focus stays. */
function radios(form, name, offered, chosen) {
  const host = form.querySelector(`[data-choice="${name}"]`);
  const before = [...host.querySelectorAll("input")].map(({ value, disabled }) => `${value}${disabled}`).join();
  if (before !== offered.map(([value, , can]) => `${value}${!can}`).join() || before === "") {
    fill(host, ...offered.map(([value, text, can]) => element("label", {},
      element("input", { type: "radio", name, value, disabled: !can }), text)));
  }
  for (const input of host.querySelectorAll("input")) input.checked = input.value === chosen;
}

function options(form, name, offered, chosen) {
  const select = form.querySelector(`select[name="${name}"]`);
  if ([...select.options].map(({ value }) => value).join() !== offered.map(([value]) => value).join()) {
    fill(select, ...offered.map(([value, text]) => element("option", { value }, text)));
  }
  select.disabled = offered.length === 0;
  select.value = chosen ?? "";
}
