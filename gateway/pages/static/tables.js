/* Tables made from rows: what a chart shows, to be read, and what the evaluation lists. */

import { element } from "./elements.js";

/** A table with a caption for those who do not see where it stands. The first cell of a row is its heading.
 *
 * columns: texts, those that begin with "#" are numbers. rows: arrays of texts or nodes. */
export function table(caption, columns, rows) {
  const numeric = columns.map((name) => name.startsWith("#"));
  const heads = columns.map((name, index) =>
    element("th", { scope: "col", class: numeric[index] ? "n" : null }, name.replace(/^#/, "")),
  );
  return element(
    "table",
    {},
    element("caption", { class: "hidden" }, caption),
    element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...rows.map((row) => line(row, numeric))),
  );
}

/** One row. */
export function line(row, numeric) {
  const cells = row.map((cell, index) =>
    index === 0
      ? element("th", { scope: "row", class: numeric[0] ? "n" : null }, cell)
      : element("td", { class: numeric[index] ? "n" : null }, cell),
  );
  return element("tr", {}, ...cells);
}
