import { h } from "./dom";
import type { Parts } from "./data";

// zone is the time zone of all times: UTC, or that of the browser.
let utc = true;
let days = false; // the report is about several days
let range: [number, number] = [0, 0];

const two = (n: number): string => String(n).padStart(2, "0");
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// fields returns the parts of a time in the zone.
function fields(ms: number): { y: number; mo: number; d: number; h: number; mi: number; s: number } {
  const t = new Date(ms);
  return utc
    ? { y: t.getUTCFullYear(), mo: t.getUTCMonth(), d: t.getUTCDate(), h: t.getUTCHours(), mi: t.getUTCMinutes(), s: t.getUTCSeconds() }
    : { y: t.getFullYear(), mo: t.getMonth(), d: t.getDate(), h: t.getHours(), mi: t.getMinutes(), s: t.getSeconds() };
}

// clock returns a time of day, with the day if the report is about several.
export function clock(ms: number): string {
  const f = fields(ms);
  const day = days ? `${months[f.mo]} ${f.d} ` : "";
  return `${day}${two(f.h)}:${two(f.mi)}:${two(f.s)}`;
}

// dated returns a day and a time of day.
export function dated(ms: number): string {
  const f = fields(ms);
  return `${f.y}-${two(f.mo + 1)}-${two(f.d)} ${two(f.h)}:${two(f.mi)}:${two(f.s)}`;
}

// tick returns the label of an axis whose ticks are some time apart.
export function tick(ms: number, step: number): string {
  const f = fields(ms);
  if (step >= 86_400_000) return `${months[f.mo]} ${f.d}`;
  return step >= 60_000 ? `${two(f.h)}:${two(f.mi)}` : `${two(f.h)}:${two(f.mi)}:${two(f.s)}`;
}

// midnight returns how far a time is from the beginning of its day.
export const sinceMidnight = (ms: number): number => {
  const f = fields(ms);
  return ((f.h * 60 + f.mi) * 60 + f.s) * 1000 + (ms % 1000);
};

// zoneName returns the name of the zone.
export const zoneName = (): string => (utc ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone || "local time");
export const isUTC = (): boolean => utc;

// setRange sets the time of the report. Times have days if it has several.
export function setRange(start: number, end: number): void {
  range = [start, end];
  days = dated(start).slice(0, 10) !== dated(end).slice(0, 10);
}

// setUTC switches the zone, and rewrites all times of the page.
export function setUTC(on: boolean): void {
  utc = on;
  setRange(...range);
  for (const element of document.querySelectorAll("time")) write(element);
}

function write(element: HTMLTimeElement): void {
  const ms = Date.parse(element.dateTime);
  element.textContent = element.classList.contains("dated") ? dated(ms) : clock(ms);
}

// timeElement returns a time that follows the zone.
export function timeElement(ms: number, kind = ""): HTMLTimeElement {
  const element = h("time", { datetime: new Date(ms).toISOString(), class: kind || undefined });
  write(element);
  return element;
}

// sentence returns a text with its times.
export const sentence = (parts: Parts): Node[] =>
  parts.map((p) => (typeof p === "number" ? timeElement(p) : document.createTextNode(p)));

// plainText returns a text with its times as text.
export const plainText = (parts: Parts): string => parts.map((p) => (typeof p === "number" ? clock(p) : p)).join("");
