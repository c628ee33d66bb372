/* The first page: search, and the page asked for again every few seconds, of which only what changed is replaced. */

import { setClock, tick } from "./ages.js";

const EVERY_MS = 15_000;
const AGES_MS = 5_000;

const byId = (id) => document.getElementById(id);
const search = byId("search");

// -- search -----------------------------------------------------------------------------------------------------------

/** Show the rows that hold every word that was typed, and say how many there are. */
function filter() {
  const words = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  let all = 0;
  for (const body of byId("board").tBodies) {
    let here = 0;
    for (const row of body.querySelectorAll("tr[data-symbol]")) {
      row.hidden = !words.every((word) => row.dataset.words.includes(word));
      here += row.hidden ? 0 : 1;
      all += 1;
    }
    body.hidden = here === 0;
    shown += here;
  }
  byId("board").tHead.hidden = shown === 0;
  byId("nothing").hidden = shown > 0;
  const count = words.length === 0 ? `${all} instrument${all === 1 ? "" : "s"}` : `${shown} of ${all} instruments`;
  if (byId("count").textContent !== count) byId("count").textContent = count;
}

/** Keep what is searched for in the address, and in the links to other intervals and models. */
function keep() {
  const asked = search.value.trim();
  for (const link of [null, ...document.querySelectorAll("a[data-keep]")]) {
    const address = new URL(link === null ? window.location.href : link.href);
    if (asked === "") address.searchParams.delete("q");
    else address.searchParams.set("q", asked.slice(0, 64));
    if (link === null) window.history.replaceState(null, "", address);
    else link.href = address.pathname + address.search;
  }
}

if (search !== null) {
  search.closest(".field").hidden = false;
  search.value = new URL(window.location.href).searchParams.get("q") ?? "";
  search.addEventListener("input", () => {
    filter();
    keep();
  });
  byId("clear").addEventListener("click", () => {
    search.value = "";
    filter();
    keep();
    search.focus();
  });
  filter();
  keep();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof Element && event.target.matches("input, select, textarea");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey && search !== null) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "Escape") {
    const menu = document.querySelector("details.menu[open]");
    if (menu === null) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
for (const leaving of ["click", "focusin"]) {
  document.addEventListener(leaving, (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
}

// -- keeping up to date -------------------------------------------------------------------------------------------------

const drawn = new Map(); // what the server last sent of each row, to compare with: this page adds to it
let etag = null;
let timer = 0;
let asking = null;

/** What a row holds but its age, which grows by itself. */
function told(row) {
  const copy = row.cloneNode(true);
  for (const time of copy.querySelectorAll("time[data-age]")) time.textContent = "";
  copy.removeAttribute("hidden");
  copy.removeAttribute("class");
  return copy.outerHTML;
}

function remember() {
  drawn.clear();
  for (const row of document.querySelectorAll("tr[data-symbol]")) drawn.set(row.dataset.symbol, told(row));
}

/** Put a newer row in the place of an older one; where the focus was inside, it stays on the same link. */
function replaceRow(row, newer) {
  const focused = row.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  newer.classList.add("changed");
  row.replaceWith(newer);
  if (focused !== null) [...newer.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
}

/** Replace what differs between this page and a newer one. Other instruments than before: the whole table. */
function renew(page) {
  const rows = [...page.querySelectorAll("tr[data-symbol]")];
  const table = byId("board");
  const fresh = page.getElementById("board");
  if ((table === null) !== (fresh === null)) {
    window.location.reload();
    return;
  }
  const symbols = rows.map((row) => row.dataset.symbol).join(" ");
  if (symbols === [...drawn.keys()].join(" ")) {
    for (const newer of rows) {
      const symbol = newer.dataset.symbol;
      if (told(newer) === drawn.get(symbol)) continue;
      replaceRow(table.querySelector(`tr[data-symbol="${CSS.escape(symbol)}"]`), document.importNode(newer, true));
    }
  } else if (table !== null) {
    const head = table.tHead;
    table.replaceChildren(table.caption, head, ...[...fresh.tBodies].map((body) => document.importNode(body, true)));
  }
  for (const id of ["notices", "verdicts", "as-of"]) {
    const [older, newer] = [byId(id), page.getElementById(id)];
    if (older !== null && newer !== null && older.outerHTML !== newer.outerHTML && !older.contains(document.activeElement))
      older.replaceWith(document.importNode(newer, true));
  }
  const standing = [document.querySelector(".standing"), page.querySelector(".standing")];
  if (!standing.includes(null) && standing[0].outerHTML !== standing[1].outerHTML && !standing[0].contains(document.activeElement))
    standing[0].replaceWith(document.importNode(standing[1], true));
  remember();
  if (search !== null) filter();
  tick();
}

/** Tell that the page cannot be renewed, and since when; "" takes it back. */
function away(text) {
  const banner = byId("away");
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = text === "";
}

async function look() {
  clearTimeout(timer);
  if (asking !== null) return;
  asking = new AbortController();
  const giveUp = setTimeout(() => asking?.abort(), 10_000);
  try {
    const address = new URL(window.location.href);
    address.searchParams.delete("q");
    const answer = await fetch(address.pathname + address.search, {
      cache: "no-store", headers: etag === null ? {} : { "if-none-match": etag }, signal: asking.signal,
    });
    if (answer.status === 200) {
      etag = answer.headers.get("etag");
      renew(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } else if (answer.status !== 304) throw new Error(`the answer was ${answer.status}`);
    setClock(answer.headers.get("date"));
    away("");
  } catch {
    const since = byId("as-of")?.textContent ?? "the last answer";
    away(`Candlecast cannot be reached. What you see is as of ${since}; it is asked again every few seconds.`);
  } finally {
    clearTimeout(giveUp);
    asking = null;
    if (!document.hidden) timer = setTimeout(look, EVERY_MS);
  }
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else look();
});
window.addEventListener("online", look);
window.addEventListener("offline", look);
remember();
tick();
setInterval(() => document.hidden || tick(), AGES_MS);
timer = setTimeout(look, EVERY_MS);
