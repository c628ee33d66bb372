/* What every hand-made chart needs: shapes, scales, round ticks, and a frame that is drawn anew when its width changes. */

const NAMESPACE = "http://www.w3.org/2000/svg";

/** An SVG element with attributes and children; texts become text. */
export function shape(name, attributes = {}, ...children) {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(attribute, String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** The linear scale that takes [from, to] to [start, end]. */
export function scale(from, to, start, end) {
  return (value) => start + ((value - from) / (to - from)) * (end - start);
}

/** Round numbers from low to high, about `count` of them. */
export function roundTicks(low, high, count) {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1) found.push(k * step);
  return found;
}

/** A chart's frame: one unit of the view box is one pixel, so that text has the same size at every width. */
export function frame(width, height, label) {
  return shape("svg", {
    viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": label, class: "chart",
  });
}

/** Call `draw(width)` now, and again when `host` has another width. Gives a function that draws anew at once. */
export function drawnToWidth(host, draw) {
  let width = 0;
  const again = () => {
    if (width > 0) draw(width);
  };
  new ResizeObserver(([seen]) => {
    const found = Math.floor(seen.contentRect.width);
    if (found === width || found === 0) return;
    width = found;
    draw(width);
  }).observe(host);
  width = Math.floor(host.clientWidth);
  again();
  return again;
}
