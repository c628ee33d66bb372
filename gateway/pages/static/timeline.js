/* The forecasts of one model at one interval that the page has heard of, in the order of their issue times. */

export class Timeline {
  constructor() {
    this.about = "";
    this.known = new Map();
  }

  /** Take in a chart document: its forecast and those before it. Another model or interval starts afresh. */
  learn(chart) {
    const { forecast, interval, status, newest, previous } = chart;
    const about = `${interval} ${forecast.model_name} ${status === "replay"}`;
    if (about !== this.about) this.known.clear();
    this.about = about;
    if (newest) for (const one of this.known.values()) one.newest = false;
    for (const one of [...previous.map((earlier) => ({ ...earlier, newest: false })), { ...forecast, newest }]) {
      this.known.set(one.issued_at, { issued_at: one.issued_at, prediction_id: one.prediction_id, newest: one.newest });
    }
  }

  /** The neighbours of an issue time: `{older, newer}`, undefined where none is known. */
  around(issued) {
    const all = [...this.known.values()].sort((a, b) => Date.parse(a.issued_at) - Date.parse(b.issued_at));
    const index = all.findIndex((one) => one.issued_at === issued);
    return { older: all[index - 1], newer: all[index + 1] };
  }
}
