/* Tables made from rows: what a chart shows, to be read, and what the evaluation lists. */

import { element, explained } from "../elements.js";

/** A table with a caption for those who do not see where it stands. The first cell of a row is its heading.
 *
 * columns: texts, or [text, explanation]; texts that begin with "#" head numbers. rows: arrays of texts or nodes. */
export function table(caption, columns, rows) {
  const numeric = columns.map((column) => [column].flat()[0].startsWith("#"));
  return element(
    "table",
    {},
    element("caption", { class: "hidden" }, caption),
    element("thead", {}, element("tr", {}, ...columns.map(head))),
    element("tbody", {}, ...rows.map((row) => line(row, numeric))),
  );
}

/** The heading of a column, with its explanation where there is one. */
export function head(column) {
  const [name, about] = [column].flat();
  const text = name.replace(/^#/, "");
  return element("th", { scope: "col", class: name.startsWith("#") ? "n" : null }, about ? explained(text, about) : text);
}

function line(row, numeric) {
  const cells = row.map((cell, index) =>
    index === 0
      ? element("th", { scope: "row", class: numeric[0] ? "n" : null }, cell)
      : element("td", { class: numeric[index] ? "n" : null }, cell),
  );
  return element("tr", {}, ...cells);
}
