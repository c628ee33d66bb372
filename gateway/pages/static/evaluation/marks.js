/* Marks of a chart that tell their value: to the pointer nearest to them, and to the keyboard.

A chart is one stop of the tab key; arrow keys, Home and End walk through its marks. What a mark says is its
accessible name, and the same text stands beside it while it has the focus or the pointer. */

import { element } from "../elements.js";
import { shape } from "./svg.js";

/** A mark around (x, y) that says `text`; `drawn` is what is seen of it. */
export function mark(x, y, text, ...drawn) {
  const halo = shape("circle", { class: "halo", cx: x, cy: y, r: 9 });
  const node = shape("g", { class: "mark", role: "img", "aria-label": text, tabindex: -1 }, halo, ...drawn);
  return { x, y, text, node };
}

/** Put a chart into its host, its marks within reach; nearness is `along` "x" or "both" axes. */
export function show(host, svg, marks, along = "both") {
  const before = [...host.querySelectorAll(".mark")].indexOf(document.activeElement);
  const tip = element("div", { class: "mark-tip", "aria-hidden": "true" });
  tip.hidden = true;
  host.replaceChildren(svg, tip);
  if (marks.length === 0) return;

  let current = Math.min(Math.max(before, 0), marks.length - 1);
  marks[current].node.setAttribute("tabindex", "0");

  const tell = (index) => {
    for (const other of host.querySelectorAll(".mark.told")) other.classList.remove("told");
    const { x, y, text, node } = marks[index];
    node.classList.add("told");
    tip.replaceChildren(...text.split("; ").map((line) => element("span", {}, line)));
    tip.hidden = false;
    const room = host.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(x - tip.offsetWidth / 2, room))}px`;
    const over = y - tip.offsetHeight - 14;
    tip.style.top = `${over >= -24 ? over : y + 14}px`;
  };
  const hush = () => {
    tip.hidden = true;
    for (const other of host.querySelectorAll(".mark.told")) other.classList.remove("told");
  };
  const go = (index) => {
    marks[current].node.setAttribute("tabindex", "-1");
    current = Math.min(Math.max(index, 0), marks.length - 1);
    marks[current].node.setAttribute("tabindex", "0");
    marks[current].node.focus();
  };

  svg.addEventListener("focusin", (event) => {
    const found = marks.findIndex(({ node }) => node === event.target);
    if (found >= 0) tell(found);
  });
  svg.addEventListener("focusout", hush);
  svg.addEventListener("keydown", (event) => {
    const ways = { ArrowRight: current + 1, ArrowDown: current + 1, ArrowLeft: current - 1, ArrowUp: current - 1 };
    const to = { ...ways, Home: 0, End: marks.length - 1 }[event.key];
    if (to !== undefined) go(to);
    else if (event.key === "Escape") hush();
    else return;
    event.preventDefault();
  });
  svg.addEventListener("pointermove", (event) => {
    const at = svg.getBoundingClientRect();
    const [px, py] = [event.clientX - at.left, event.clientY - at.top];
    const far = ({ x, y }) => Math.hypot(x - px, along === "x" ? 0 : y - py);
    const nearest = marks.reduce((best, one, index) => (far(one) < far(marks[best]) ? index : best), 0);
    if (far(marks[nearest]) < 48) tell(nearest);
    else hush();
  });
  host.onpointerleave = () => {
    if (!host.contains(document.activeElement)) hush();
  };
  if (before >= 0) marks[current].node.focus();
}
