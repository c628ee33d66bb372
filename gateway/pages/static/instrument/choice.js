/* What the reader chose, as it stands in the address: interval, model, forecast, step, and whether the outcome is shown. */

/** The choice that an address names; null where it leaves the choice to the page. */
export function choiceOf(search) {
  const given = new URLSearchParams(search);
  const horizon = Number.parseInt(given.get("horizon") ?? "", 10);
  return {
    interval: given.get("interval") === "1d" ? "1d" : "1h",
    model: given.get("model_name") ?? given.get("model"),
    id: given.get("prediction_id"),
    step: Number.isFinite(horizon) && horizon >= 1 ? horizon : null,
    outcome: { shown: true, hidden: false }[given.get("outcome")] ?? null,
  };
}

/** The address of a choice, without what goes without saying. */
export function searchOf({ interval, model, id, step, outcome }) {
  const told = new URLSearchParams({ interval });
  if (model) told.set("model_name", model);
  if (id) told.set("prediction_id", id);
  if (step) told.set("horizon", String(step));
  if (outcome !== null) told.set("outcome", outcome ? "shown" : "hidden");
  return `?${told}`;
}

/** Where the API keeps the chart of a choice. */
export function chartAddress(symbol, { interval, model, id }) {
  const told = new URLSearchParams({ interval });
  if (model) told.set("model_name", model);
  if (id) told.set("prediction_id", id);
  return `/showcase/chart/${encodeURIComponent(symbol)}?${told}`;
}
