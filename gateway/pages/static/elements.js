/* Making elements from scripts. Text is only ever set as text, so nothing that an answer holds becomes markup. */

/** An element with attributes and children; a child is an element or a text, and null is left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    made.setAttribute(attribute, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Put these children, and nothing else, into an element. */
export function fill(parent, ...children) {
  parent.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}

/** A text with its explanation: why.js shows it on hover, focus and touch, and assistive technology reads it. */
export function explained(text, why) {
  return element("span", { class: "explained", tabindex: "0", "data-tip": why, "aria-description": why }, text);
}
