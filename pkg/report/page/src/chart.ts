import type { Class } from "./data";
import { counted, h, s } from "./dom";
import type { State } from "./state";
import { clock, plainText, sinceMidnight, tick } from "./time";

const laneHeight = 30;
const axisHeight = 24;
const markWidth = 3;
const labels = 118; // width
const narrow = 560; // width below which labels are above their lanes

interface Lane {
  title: string;
  kind: string; // its class in the style sheet
  marks: { t: number; text: string }[];
  steps?: [number, number][]; // instead of marks: numbers from a time on
}

// Chart shows who wrote when, and what happened to nodes and pods. A part of
// the time is selected by the pointer, the keyboard or the buttons.
export class Chart {
  readonly element: HTMLElement;
  private readonly state: State;
  private readonly lanes: Lane[];
  private readonly figure: HTMLElement;
  private readonly reset: HTMLButtonElement;
  private readonly tip: HTMLElement;
  private readonly range: HTMLElement;
  private width = 0;

  constructor(state: State) {
    this.state = state;
    this.lanes = lanesOf(state);
    this.figure = h("div", {
      class: "chart",
      tabindex: 0,
      role: "group",
      "aria-label": "Timeline. Left and right arrows move, plus and minus zoom, Escape shows the whole time.",
    });
    this.tip = h("div", { class: "tip", "aria-hidden": "true" });
    this.tip.hidden = true;
    this.range = h("p", { class: "status", role: "status", "aria-live": "polite" });
    const button = (title: string, label: string, act: () => void) =>
      h("button", { type: "button", "aria-label": label, title: label, click: act }, title);
    this.reset = button("Whole time", "Show the whole time", () => this.whole());
    this.element = h(
      "div",
      {},
      h(
        "div",
        { class: "bar" },
        button("+", "Zoom in", () => this.scale(0.5)),
        button("−", "Zoom out", () => this.scale(2)),
        button("←", "Earlier", () => this.move(-0.5)),
        button("→", "Later", () => this.move(0.5)),
        this.reset,
        this.range,
      ),
      h("div", { class: "frame" }, this.figure, this.tip),
      this.alternative(),
    );
    this.figure.addEventListener("keydown", (e) => this.key(e));
    this.figure.addEventListener("pointerdown", (e) => this.brush(e));
    this.figure.addEventListener("pointermove", (e) => this.hover(e));
    this.figure.addEventListener("pointerleave", () => (this.tip.hidden = true));
    new ResizeObserver(() => {
      if (this.figure.clientWidth !== this.width) this.draw();
    }).observe(this.figure);
    state.listen(() => this.draw());
  }

  // alternative returns the contents of the chart as a table.
  private alternative(): HTMLElement {
    const body = h("tbody");
    for (const lane of this.lanes) {
      let text = counted(lane.marks.length, lane.kind === "warnings" ? "warning" : "change");
      const first = lane.marks[0];
      const last = lane.marks[lane.marks.length - 1];
      if (lane.steps) {
        const most = lane.steps.reduce((a, b) => (b[1] > a[1] ? b : a), [0, 0]);
        text = most[1] === 0 ? "none at any time" : `at most ${most[1]}, at ${clock(most[0])}`;
      } else if (first && last) {
        text += first === last ? `, at ${clock(first.t)}` : `, from ${clock(first.t)} to ${clock(last.t)}`;
      }
      body.append(h("tr", {}, h("th", { scope: "row" }, lane.title), h("td", {}, text)));
    }
    return h("details", { class: "alternative" }, h("summary", {}, "Timeline as text"), h("table", { class: "plain" }, body));
  }

  private left(): number {
    return this.width < narrow ? 0 : labels;
  }

  private x(t: number): number {
    const { from, to } = this.state.filter;
    return this.left() + ((t - from) / (to - from)) * (this.width - this.left() - 8);
  }

  private time(x: number): number {
    const { from, to } = this.state.filter;
    const share = (x - this.left()) / (this.width - this.left() - 8);
    return from + Math.min(Math.max(share, 0), 1) * (to - from);
  }

  // draw draws the lanes. Each lane is one path, so their number of marks does
  // not matter.
  draw(): void {
    this.width = this.figure.clientWidth;
    if (this.width === 0) return;
    const above = this.width < narrow ? 16 : 0; // for labels
    const step = laneHeight + above;
    const height = this.lanes.length * step + axisHeight;
    const svg = s("svg", { width: this.width, height, "aria-hidden": "true", focusable: "false" });
    const bottom = this.lanes.length * step;
    for (const gap of this.state.data.gaps ?? []) {
      const from = Math.max(this.x(gap.start), this.left());
      const to = Math.min(this.x(gap.end ?? this.state.data.end), this.width - 8);
      if (to > from) svg.append(s("rect", { class: "gap", x: from, y: 0, width: Math.max(to - from, 1), height: bottom }));
    }
    this.axis(svg, bottom);
    this.lanes.forEach((lane, i) => {
      const top = i * step + above;
      svg.append(s("line", { class: "rule", x1: 0, x2: this.width, y1: top + laneHeight, y2: top + laneHeight }));
      svg.append(s("text", { class: "label", x: 0, y: above ? top - 2 : top + laneHeight / 2 + 4 }, lane.title));
      svg.append(lane.steps ? this.stepPath(lane, top) : this.markPath(lane, top));
    });
    for (const p of this.state.data.problems ?? []) {
      const x = p.onset === undefined ? -1 : this.x(p.onset);
      if (x >= this.left() && x <= this.width - 8) svg.append(s("line", { class: "onset", x1: x, x2: x, y1: 0, y2: bottom }));
    }
    this.figure.replaceChildren(svg);
    const { from, to } = this.state.filter;
    this.reset.disabled = !this.state.isZoomed();
    this.range.textContent = `${clock(from)}–${clock(to)}`;
  }

  private markPath(lane: Lane, top: number): SVGElement {
    // The marks next to each other are one mark, higher if they are many.
    const counts = new Map<number, number>();
    for (const m of lane.marks) {
      const x = Math.round(this.x(m.t) / markWidth) * markWidth;
      if (x >= this.left() && x <= this.width - 8) counts.set(x, (counts.get(x) ?? 0) + 1);
    }
    const most = Math.max(...counts.values());
    let d = "";
    for (const [x, n] of counts) {
      const height = most > 4 ? 5 + (laneHeight - 15) * (n / most) : laneHeight - 14;
      d += `M${x} ${(top + laneHeight - 4).toFixed(1)}v${(-height).toFixed(1)}`;
    }
    return s("path", { class: `marks ${lane.kind}`, d });
  }

  private stepPath(lane: Lane, top: number): SVGElement {
    const steps = lane.steps ?? [];
    const most = Math.max(1, ...steps.map((p) => p[1]));
    const y = (n: number) => top + laneHeight - (n / most) * (laneHeight - 6);
    const right = this.width - 8;
    let d = `M${this.left()} ${y(0)}`;
    let n = 0;
    for (const [t, count] of steps) {
      const x = Math.min(Math.max(this.x(t), this.left()), right);
      d += `L${x.toFixed(1)} ${y(n).toFixed(1)}L${x.toFixed(1)} ${y(count).toFixed(1)}`;
      n = count;
    }
    d += `L${right} ${y(n).toFixed(1)}L${right} ${y(0)}Z`;
    return s("path", { class: `area ${lane.kind}`, d });
  }

  private axis(svg: SVGElement, y: number): void {
    const { from, to } = this.state.filter;
    const room = (this.width - this.left()) / 90;
    const step = steps.find((n) => (to - from) / n <= room) ?? 7 * 86_400_000;
    const first = from - sinceMidnight(from) + Math.ceil(sinceMidnight(from) / step) * step;
    for (let t = first; t <= to; t += step) {
      const x = this.x(t);
      svg.append(s("line", { class: "rule", x1: x, x2: x, y1: 0, y2: y + 4 }));
      const anchor = x > this.width - 40 ? "end" : x < this.left() + 20 ? "start" : "middle";
      svg.append(s("text", { class: "tick", x, y: y + 18, "text-anchor": anchor }, tick(t, step)));
    }
  }

  private whole(): void {
    this.state.zoom(this.state.start, this.state.end);
  }

  private scale(factor: number): void {
    const { from, to } = this.state.filter;
    const half = ((to - from) * factor) / 2;
    this.state.zoom((from + to) / 2 - half, (from + to) / 2 + half);
  }

  private move(share: number): void {
    const { from, to } = this.state.filter;
    this.state.zoom(from + (to - from) * share, to + (to - from) * share);
  }

  private key(e: KeyboardEvent): void {
    const act: Record<string, () => void> = {
      "+": () => this.scale(0.5),
      "=": () => this.scale(0.5),
      "-": () => this.scale(2),
      ArrowLeft: () => this.move(-0.25),
      ArrowRight: () => this.move(0.25),
      Escape: () => this.whole(),
    };
    if (e.ctrlKey || e.metaKey || e.altKey || !act[e.key]) return;
    e.preventDefault();
    e.stopPropagation();
    act[e.key]?.();
  }

  // brush zooms to the time between where the pointer was pressed and released.
  private brush(down: PointerEvent): void {
    if (down.button !== 0) return;
    const box = this.figure.getBoundingClientRect();
    const first = down.clientX - box.left;
    const selection = s("rect", { class: "brush", y: 0, height: box.height - axisHeight });
    const svg = this.figure.querySelector("svg");
    const at = (e: PointerEvent) => Math.min(Math.max(e.clientX - box.left, this.left()), this.width - 8);
    const move = (e: PointerEvent) => {
      const x = at(e);
      selection.setAttribute("x", String(Math.min(first, x)));
      selection.setAttribute("width", String(Math.abs(x - first)));
      if (!selection.isConnected) svg?.append(selection);
    };
    const stop = (e: PointerEvent) => {
      this.figure.removeEventListener("pointermove", move);
      selection.remove();
      const x = at(e);
      if (e.type === "pointerup" && Math.abs(x - first) > 4) {
        this.state.zoom(this.time(Math.min(first, x)), this.time(Math.max(first, x)));
      }
    };
    this.figure.setPointerCapture(down.pointerId);
    this.figure.addEventListener("pointermove", move);
    this.figure.addEventListener("pointerup", stop, { once: true });
    this.figure.addEventListener("pointercancel", stop, { once: true });
  }

  // hover shows what the mark next to the pointer is.
  private hover(e: PointerEvent): void {
    const box = this.figure.getBoundingClientRect();
    const x = e.clientX - box.left;
    const above = this.width < narrow ? 16 : 0;
    const lane = this.lanes[Math.floor((e.clientY - box.top) / (laneHeight + above))];
    let text = "";
    if (lane?.steps) {
      const t = this.time(x);
      const n = lane.steps.filter((p) => p[0] <= t).at(-1)?.[1] ?? 0;
      text = `${clock(t)} ${counted(n, "pod")} not ready`;
    } else if (lane) {
      let best = 6;
      for (const m of lane.marks) {
        const distance = Math.abs(this.x(m.t) - x);
        if (distance < best) {
          best = distance;
          text = `${clock(m.t)} ${m.text}`;
        }
      }
    }
    this.tip.hidden = text === "";
    this.tip.textContent = text;
    const left = Math.min(Math.max(x + 12, 0), Math.max(this.width - this.tip.offsetWidth, 0));
    this.tip.style.transform = `translate(${left}px, ${e.clientY - box.top + 14}px)`;
  }
}

// steps are the distances of ticks.
const steps = [1, 2, 5, 10, 15, 30]
  .map((n) => n * 1000)
  .concat([1, 2, 5, 10, 15, 30].map((n) => n * 60_000))
  .concat([1, 2, 3, 6, 12].map((n) => n * 3_600_000))
  .concat([1, 2, 7].map((n) => n * 86_400_000));

// lanesOf returns the lanes of a report. Those of people, automation, nodes,
// pods and warnings are always there.
function lanesOf(state: State): Lane[] {
  const { data } = state;
  const by: Record<Class, Lane> = {
    1: { title: "People", kind: "person", marks: [] },
    2: { title: "Automation", kind: "automation", marks: [] },
    3: { title: "Cluster", kind: "cluster", marks: [] },
    0: { title: "Unknown", kind: "unknown", marks: [] },
  };
  for (const r of data.rows ?? []) {
    if (r.problem) continue;
    const text = `${r.who} ${r.what} ${plainText(r.text)}`;
    for (const t of r.times ?? [r.t]) by[r.c].marks.push({ t, text });
  }
  const points = (list: [number, string][] | undefined) => (list ?? []).map(([t, text]) => ({ t, text }));
  return [
    by[1],
    by[2],
    ...[by[3], by[0]].filter((lane) => lane.marks.length > 0),
    { title: "Nodes", kind: "nodes", marks: points(data.nodes) },
    { title: "Unready pods", kind: "unready", marks: [], steps: data.unready ?? [] },
    { title: "Warnings", kind: "warnings", marks: points(data.warnings) },
  ];
}
