import type { Change, Class, Row } from "./data";
import { counted, diffLines, h, hidden } from "./dom";
import type { State } from "./state";
import { sentence, timeElement } from "./time";

const blockSize = 100; // rows that are made at once
const rowHeight = 38; // of a row that is not made yet, in pixels
const maxPrinted = 2000; // rows

export const classNames: Record<Class, string> = { 0: "unknown", 1: "person", 2: "automation", 3: "cluster" };
const marks = ["", "✓", "…", "✗"];
const states = ["", "good", "busy", "bad"];

// List is the table of changes. Its rows are made in blocks when these come
// near the screen, so that a long table appears at once.
export class List {
  readonly element: HTMLElement;
  private readonly state: State;
  private readonly table: HTMLElement;
  private readonly status: HTMLElement;
  private readonly observer: IntersectionObserver;
  private readonly namespaces: boolean;
  private rows: Row[] = [];
  private blocks: HTMLElement[] = [];
  private shown = "";
  private focused = 0;
  private readonly open = new Set<Row>();

  constructor(state: State) {
    this.state = state;
    this.namespaces = new Set((state.data.rows ?? []).map((r) => r.ns ?? "")).size > 1;
    this.table = h("div", { role: "table", class: "table", "aria-label": "Changes" });
    this.status = h("p", { class: "status", role: "status", "aria-live": "polite" });
    this.observer = new IntersectionObserver(
      (entries) => {
        for (const e of entries) if (e.isIntersecting) this.fill(this.blocks.indexOf(e.target as HTMLElement));
      },
      { rootMargin: "600px" },
    );
    this.table.addEventListener("keydown", (e) => this.key(e));
    this.table.addEventListener("focusin", (e) => {
      const row = (e.target as Element).closest<HTMLElement>("[data-row]");
      if (row && (e.target as Element).matches(".what")) this.focused = Number(row.dataset.row);
    });
    window.addEventListener("beforeprint", () => {
      for (let i = 0; i < Math.min(this.blocks.length, maxPrinted / blockSize); i++) this.fill(i);
    });
    this.element = h("div", {}, this.status, this.table);
    state.listen(() => this.draw());
    this.draw();
  }

  // draw shows the rows of the filter. It does nothing if they are the same.
  private draw(): void {
    const f = this.state.filter;
    const key = [f.text, [...f.classes].join(), f.kind, f.namespace, f.from, f.to].join("\0");
    if (key === this.shown) return;
    this.shown = key;
    this.rows = this.state.rows();
    const all = this.state.data.rows?.length ?? 0;
    this.status.textContent =
      this.rows.length === all ? `${counted(all, "row")}.` : `${counted(this.rows.length, "row")} of ${all.toLocaleString("en")}.`;
    this.observer.disconnect();
    this.blocks = [];
    this.focused = 0;
    this.table.replaceChildren();
    this.table.setAttribute("aria-rowcount", String(this.rows.length + 1));
    if (this.rows.length === 0) {
      this.table.hidden = true;
      return;
    }
    this.table.hidden = false;
    const head = h("div", { role: "row", class: "row head", "aria-rowindex": 1 });
    for (const title of ["Time", "Who", "What", "Change, and how it ended"]) head.append(h("div", { role: "columnheader" }, title));
    this.table.append(h("div", { role: "rowgroup" }, head));
    for (let first = 0; first < this.rows.length; first += blockSize) {
      const block = h("div", { class: "block" });
      block.style.height = `${Math.min(blockSize, this.rows.length - first) * rowHeight}px`;
      this.blocks.push(block);
      this.table.append(block);
      this.observer.observe(block);
    }
    this.fill(0);
  }

  // fill makes the rows of a block.
  private fill(index: number): void {
    const block = this.blocks[index];
    if (!block || block.hasChildNodes()) return;
    this.observer.unobserve(block);
    const first = index * blockSize;
    const last = Math.min(first + blockSize, this.rows.length);
    for (let i = first; i < last; i++) {
      const row = this.rows[i] as Row;
      block.append(this.row(row, i));
      if (this.open.has(row)) block.append(this.detail(row));
    }
    block.setAttribute("role", "rowgroup");
    block.style.containIntrinsicHeight = `auto ${block.style.height}`;
    block.style.height = "";
    block.classList.add("filled");
    if (this.blocks.length > 1) block.classList.add("skipped");
  }

  // row returns the row of a change.
  private row(r: Row, index: number): HTMLElement {
    const isOpen = this.open.has(r);
    const what = h(
      "button",
      { type: "button", class: "what", "aria-expanded": String(isOpen), tabindex: index === this.focused ? 0 : -1 },
      r.what,
    );
    what.addEventListener("click", () => this.toggle(r, what));
    const text = h("div", { class: r.problem ? "text bad" : "text" });
    if (r.problem) text.append("✗ ");
    text.append(...sentence(r.text));
    const change = h("div", { role: "cell", class: "change" }, text);
    if (r.end) change.append(h("div", { class: `end ${states[r.z ?? 0]}` }, `${marks[r.z ?? 0]} ${r.end}`));
    return h(
      "div",
      { role: "row", class: "row", "data-row": index, "aria-rowindex": index + 2 },
      h("div", { role: "cell", class: "at" }, timeElement(r.t)),
      h("div", { role: "cell", class: `who ${classNames[r.c]}` }, r.who, hidden(` (${classNames[r.c]})`)),
      h("div", { role: "cell", class: "object" }, what, this.namespaces && r.ns ? h("div", { class: "ns" }, r.ns) : undefined),
      change,
    );
  }

  // toggle opens or closes a row.
  private toggle(r: Row, what: HTMLElement): void {
    const row = what.closest(".row") as HTMLElement;
    const opened = !this.open.has(r);
    what.setAttribute("aria-expanded", String(opened));
    if (opened) {
      this.open.add(r);
      row.after(this.detail(r));
    } else {
      this.open.delete(r);
      row.nextElementSibling?.remove();
    }
  }

  // detail returns the row below an open one: its changes and their diffs.
  private detail(r: Row): HTMLElement {
    const cell = h("div", { role: "cell", class: "opened", "aria-colspan": 4 });
    const alone = r.changes.length === 1;
    for (const c of r.changes) cell.append(change(c, alone));
    if (r.changes.length < (r.times?.length ?? 0)) {
      cell.append(h("p", { class: "muted" }, `${counted((r.times?.length ?? 0) - r.changes.length, "other change")} in this row not shown.`));
    }
    if (r.folded) cell.append(h("p", { class: "muted" }, `${counted(r.folded, "consequence")} folded.`));
    if (!cell.hasChildNodes()) cell.append(h("p", { class: "muted" }, "Nothing more is recorded."));
    return h("div", { role: "row", class: "row detail" }, cell);
  }

  // key moves between rows.
  private key(e: KeyboardEvent): void {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20, Home: -Infinity, End: Infinity }[e.key];
    if (e.key === "Escape") {
      const row = this.rows[this.focused];
      const what = this.button(this.focused);
      if (row && what && this.open.has(row)) {
        this.toggle(row, what);
        e.stopPropagation();
      }
      return;
    }
    if (step === undefined || !(e.target as Element).matches(".what")) return;
    e.preventDefault();
    this.focus(Math.min(Math.max(this.focused + step, 0), this.rows.length - 1));
  }

  private button(index: number): HTMLElement | null {
    return this.table.querySelector<HTMLElement>(`[data-row="${index}"] .what`);
  }

  private focus(index: number): void {
    this.fill(Math.floor(index / blockSize));
    this.button(this.focused)?.setAttribute("tabindex", "-1");
    const what = this.button(index);
    what?.setAttribute("tabindex", "0");
    what?.focus();
    what?.scrollIntoView({ block: "nearest" });
  }
}

// change returns what is known of one change: its time and its name, unless it
// is the only one of a row, and its diff.
function change(c: Change, alone: boolean): DocumentFragment {
  const all = document.createDocumentFragment();
  if (!alone) {
    all.append(
      h("p", { class: "part" }, timeElement(c.t), " ", h("code", {}, c.name), c.who ? ` ${c.who}` : "", c.text ? ` ${c.text}` : ""),
    );
  }
  if (c.diff) all.append(diffLines(c.diff));
  return all;
}
