/* Ages that grow while a page is open: each `<time data-age datetime="…">` tells how long ago its instant was. */

let ahead = 0; // of the server's clock before this one, in milliseconds

/** An age as people say it, as the server writes it. */
export function ageText(seconds) {
  if (seconds < 3600) return `${Math.floor(Math.max(0, seconds) / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

/** The server's time in milliseconds, as far as it has told. */
export function now() {
  return Date.now() + ahead;
}

/** Take the server's clock from an answer's `Date` header. */
export function setClock(date) {
  const told = Date.parse(date ?? "");
  if (!Number.isNaN(told)) ahead = told - Date.now();
}

/** Write all ages below an element. */
export function tick(root = document) {
  for (const time of root.querySelectorAll("time[data-age]")) {
    const text = ageText((now() - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}
