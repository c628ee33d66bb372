/* Explanations: what a term or a number means, shown on hover, focus and touch, and closed by Escape.

   `data-why="band"` shows the popover #why-band that stands in the page; `data-tip="text"` shows a text of its own. Both may be
   put on anything, also on elements that are made later. Where they can be reached by keyboard they show on focus. Without this
   script a `button.why` still opens its popover, by its `popovertarget`. */

const NEAR_MS = 120; // so that a pointer that only passes by opens nothing
const GAP = 8;

let shown = null; // { owner, tip, pinned }
let timer = 0;

/** The popover with a text of its own, made when it is first needed. */
function spare() {
  let tip = document.getElementById("tip");
  if (tip === null) {
    tip = document.createElement("div");
    tip.id = "tip";
    tip.className = "tip";
    tip.popover = "manual";
    document.body.append(tip);
  }
  return tip;
}

/** The element that has an explanation, at or above a place. */
function explainedAt(place) {
  return place instanceof Element ? place.closest("[data-why], [data-tip]") : null;
}

/** Put a popover below its owner, or above where there is no room, and always inside the window. */
function put(tip, owner) {
  const at = owner.getBoundingClientRect();
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.max(GAP, Math.min(at.left + at.width / 2 - width / 2, window.innerWidth - width - GAP));
  const below = at.bottom + GAP + height <= window.innerHeight || at.top < height + GAP;
  tip.style.left = `${left}px`;
  tip.style.top = `${below ? at.bottom + GAP : at.top - GAP - height}px`;
}

function show(owner, pinned) {
  if (shown?.owner === owner && shown.tip.matches(":popover-open")) {
    shown.pinned ||= pinned;
    return;
  }
  hide();
  const text = owner.dataset.tip;
  const tip = text === undefined ? document.getElementById(`why-${owner.dataset.why}`) : spare();
  if (tip === null) return;
  if (text !== undefined) tip.textContent = text;
  if (!tip.matches(":popover-open")) tip.showPopover();
  put(tip, owner);
  shown = { owner, tip, pinned };
}

function hide() {
  clearTimeout(timer);
  if (shown?.tip.isConnected && shown.tip.matches(":popover-open")) shown.tip.hidePopover();
  shown = null;
}

document.addEventListener("pointerover", (event) => {
  if (event.pointerType !== "mouse") return;
  const owner = explainedAt(event.target);
  clearTimeout(timer);
  if (owner !== null) timer = setTimeout(() => owner.isConnected && show(owner, false), NEAR_MS);
  else if (shown !== null && !shown.pinned && !shown.tip.contains(event.target)) timer = setTimeout(hide, NEAR_MS);
});
document.addEventListener("focusin", (event) => {
  const owner = explainedAt(event.target);
  if (owner !== null && owner === event.target && owner.matches(":focus-visible")) show(owner, true);
  else if (owner !== shown?.owner && !shown?.tip.contains(event.target)) hide();
});
document.addEventListener("focusout", (event) => {
  if (shown !== null && event.target === shown.owner) hide();
});
document.addEventListener("click", (event) => {
  const owner = explainedAt(event.target);
  if (owner === null) {
    if (shown !== null && !shown.tip.contains(event.target)) hide();
    return;
  }
  if (owner.matches("button.why")) {
    event.preventDefault(); // its popovertarget would close what hovering has opened
    if (shown?.owner === owner && shown.pinned && !owner.matches(":focus-visible")) hide();
    else show(owner, true);
  } else if (event.target.closest("a, button, input, select, summary") === null) show(owner, true);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || shown === null) return;
  hide();
  event.preventDefault();
});
/** Reaching an owner by keyboard scrolls it into view: then its explanation goes along. */
function scrolled() {
  if (shown?.owner.matches(":focus-visible")) put(shown.tip, shown.owner);
  else hide();
}
window.addEventListener("scroll", scrolled, { capture: true, passive: true });
window.addEventListener("resize", () => hide());
