/* What a reader may take along: the numbers as CSV, the chart as a PNG that says whose it is and what it is worth. */

import { save } from "../save.js";
import { instant, quantileName } from "../wording.js";

/** The forecast as CSV (RFC 4180): a row per step, the digits of the API, the outcome empty while it is open. */
function csvOf(chart) {
  const { document, forecast } = chart;
  const about = {
    symbol: document.symbol, interval: document.interval, model_name: forecast.model_name, issued_at: forecast.issued_at,
    prediction_id: forecast.prediction_id, status: document.status, synthetic: document.synthetic,
  };
  const head = ["step", "target_at", ...forecast.levels.map(quantileName), "outcome", ...Object.keys(about)];
  const rows = forecast.fan.map((values, index) => [
    index + 1, forecast.target_at[index], ...values, chart.outcomes[index] ?? "", ...Object.values(about),
  ]);
  return [head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

function cell(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** `candlecast-BTCUSDT-1h-kronos-nano-20250701T0000Z.csv` */
function fileName(chart, ending) {
  const { document, forecast } = chart;
  const issued = forecast.issued_at.replace(/[-:]/g, "").replace(/(T\d{4})\d{2}.*$/, "$1Z");
  return ["candlecast", document.symbol, document.interval, forecast.model_name, issued].join("-") + `.${ending}`;
}

/** A canvas with the chart, above it the title and the sentence, below it the notice and where it comes from. */
function pictureOf(canvas, colours, { title, lines, notice, source }) {
  const dot = devicePixelRatio;
  const margin = 20 * dot;
  const width = canvas.width + 2 * margin;
  const font = (size, weight = 400) => `${weight} ${size * dot}px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif`;
  const picture = document.createElement("canvas");
  const ctx = picture.getContext("2d");
  const room = width - 2 * margin;
  ctx.font = font(14);
  const head = lines.flatMap((line) => wrapped(ctx, line, room));
  ctx.font = font(12);
  const foot = [...(notice ? wrapped(ctx, notice, room) : []), ...wrapped(ctx, source, room)];
  picture.width = width;
  picture.height = canvas.height + 2 * margin + (34 + 20 * head.length + 10 + 17 * foot.length + 6) * dot;
  ctx.fillStyle = colours.card;
  ctx.fillRect(0, 0, picture.width, picture.height);
  ctx.textBaseline = "top";
  let y = margin;
  const write = (text, size, weight, colour, step) => {
    ctx.font = font(size, weight);
    ctx.fillStyle = colour;
    ctx.fillText(text, margin, y);
    y += step * dot;
  };
  write(title, 20, 700, colours.ink, 34);
  for (const line of head) write(line, 14, 400, colours.ink, 20);
  ctx.drawImage(canvas, margin, y + 4 * dot);
  y += canvas.height + 16 * dot;
  foot.forEach((line) => write(line, 12, 400, colours.soft, 17));
  return picture;
}

function wrapped(ctx, text, room) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (ctx.measureText(longer).width <= room) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** Download the numbers. */
export function saveCsv(chart) {
  save(new Blob([csvOf(chart)], { type: "text/csv" }), fileName(chart, "csv"));
}

/** Download the chart as it is drawn, with the sentences of its step and the address that shows it again. */
export function savePng(chart, fan, lines, address) {
  const { document: answer, forecast } = chart;
  const title = `${answer.symbol} ${answer.name} · ${answer.interval} · ${forecast.model_name}`;
  const source =
    `Issued ${instant(forecast.issued_at)}, drawn ${instant(Date.now())} by Candlecast, ${location.host}${address}. ` +
    "Not investment advice.";
  const picture = pictureOf(fan.canvas, fan.colours, { title, lines, notice: answer.notice, source });
  picture.toBlob((blob) => save(blob, fileName(chart, "png")));
}
