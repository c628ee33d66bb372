/* Schedules in words, and what became of slots. */

const DAYS = ["Sundays", "Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays"];
const two = (number) => String(number).padStart(2, "0");

/** A cron expression in words where it is a plain one, else itself. */
export function scheduleText(cron) {
  const [minute, hour, day, month, weekday] = cron.split(" ");
  const plain = (field) => /^\d+$/.test(field);
  if (!plain(minute) || month !== "*") return cron;
  if (hour === "*" && day === "*" && weekday === "*") return `hourly at :${two(minute)}`;
  if (!plain(hour)) return cron;
  const at = `at ${two(hour)}:${two(minute)} UTC`;
  if (day === "*" && weekday === "*") return `daily ${at}`;
  if (day === "*" && plain(weekday)) return `${DAYS[Number(weekday) % 7]} ${at}`;
  if (plain(day) && weekday === "*") return `monthly on day ${day} ${at}`;
  return cron;
}

const MARKS = { ok: "ok", partial: "partial", failed: "failed", interrupted: "failed", missed: "missed", running: "running" };

/** The class of a slot's mark. */
export const markOf = (status) => MARKS[status] ?? "due";

/** What became of slots, in words: counts, and the instants of what went wrong. `instant` writes one. */
export function slotsText(slots, instant) {
  if (slots.length === 0) return "No slot is on record.";
  const by = new Map();
  for (const { slot, status } of slots) by.set(status, [...(by.get(status) ?? []), slot]);
  const parts = [...by].map(([status, at]) => {
    const told = ["ok", "due", "skipped"].includes(status) ? "" : ` (${at.slice(0, 4).map(instant).join(", ")}${at.length > 4 ? ", …" : ""})`;
    return `${at.length} ${status}${told}`;
  });
  return `Newest ${slots.length} slot${slots.length === 1 ? "" : "s"}: ${parts.join(", ")}.`;
}

/** How long something took. */
export function durationText(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
