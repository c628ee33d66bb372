/* The forecasts that the page has heard of, per model, interval and record, in the order of their issue times. */

export class Timeline {
  constructor() {
    this.series = new Map();
  }

  /** Take in a chart document: its forecast and those before it. */
  learn(chart) {
    const { forecast, newest, previous } = chart;
    const known = this.of(chart);
    if (newest) for (const one of known.values()) one.newest = false;
    for (const one of [...previous.map((earlier) => ({ ...earlier, newest: false })), { ...forecast, newest }]) {
      known.set(one.issued_at, { issued_at: one.issued_at, prediction_id: one.prediction_id, newest: one.newest });
    }
  }

  /** The neighbours of a chart's forecast: `{older, newer}`, undefined where none is known. */
  around(chart) {
    const all = [...this.of(chart).values()].sort((a, b) => Date.parse(a.issued_at) - Date.parse(b.issued_at));
    const index = all.findIndex((one) => one.issued_at === chart.forecast.issued_at);
    return { older: all[index - 1], newer: all[index + 1] };
  }

  of({ forecast, interval, status }) {
    const about = `${interval} ${forecast.model_name} ${status === "replay"}`;
    if (!this.series.has(about)) this.series.set(about, new Map());
    return this.series.get(about);
  }
}
