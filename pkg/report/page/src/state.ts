import type { Class, Data, Row } from "./data";

// Filter is what the list and the charts show.
export interface Filter {
  text: string;
  classes: Set<Class>; // empty: all
  kind: string;
  namespace: string;
  from: number;
  to: number;
}

// State is what the parts of the page share. A part that changes the filter
// calls changed, and all parts that listen are drawn again.
export class State {
  readonly data: Data;
  readonly filter: Filter;
  readonly start: number; // of what can be shown
  readonly end: number;
  private readonly listeners: (() => void)[] = [];
  private readonly texts = new Map<Row, string>();

  constructor(data: Data) {
    this.data = data;
    this.start = data.recorded ?? data.start;
    this.end = data.end;
    this.filter = { text: "", classes: new Set(), kind: "", namespace: "", from: this.start, to: this.end };
  }

  listen(listener: () => void): void {
    this.listeners.push(listener);
  }

  changed(): void {
    for (const listener of this.listeners) listener();
  }

  // zoom shows a part of the time. It stays within the report, and is at least
  // a second long.
  zoom(from: number, to: number): void {
    const { start, end } = this;
    const width = Math.min(Math.max(to - from, 1000), end - start);
    this.filter.from = Math.min(Math.max(from, start), end - width);
    this.filter.to = this.filter.from + width;
    this.changed();
  }

  isZoomed(): boolean {
    return this.filter.from > this.start || this.filter.to < this.end;
  }

  // rows returns the rows that the filter selects.
  rows(): Row[] {
    const f = this.filter;
    const words = f.text.toLowerCase().split(/\s+/).filter(Boolean);
    const zoomed = this.isZoomed();
    return (this.data.rows ?? []).filter(
      (r) =>
        (f.classes.size === 0 || f.classes.has(r.c)) &&
        (!f.kind || r.kind === f.kind) &&
        (!f.namespace || (r.ns ?? "") === f.namespace) &&
        (!zoomed || (r.times ?? [r.t]).some((t) => t >= f.from && t <= f.to)) &&
        words.every((word) => this.textOf(r).includes(word)),
    );
  }

  private textOf(r: Row): string {
    let text = this.texts.get(r);
    if (text === undefined) {
      const parts = [r.who, r.what, r.ns ?? "", r.end ?? "", ...r.text.filter((p) => typeof p === "string")];
      for (const c of r.changes) parts.push(c.name, c.text);
      text = parts.join(" ").toLowerCase();
      this.texts.set(r, text);
    }
    return text;
  }
}
