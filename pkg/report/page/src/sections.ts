import type { Cause, Data, Problem, Rule, Workload } from "./data";
import { counted, diffLines, h, hidden, s } from "./dom";
import { classNames } from "./list";
import type { State } from "./state";
import { sentence, timeElement } from "./time";

// section returns a part of the page with a heading.
export function section(id: string, title: string, ...children: (Node | string | undefined)[]): HTMLElement {
  return h("section", { id, "aria-labelledby": `${id}-title` }, h("h2", { id: `${id}-title` }, title), ...children);
}

// coverage shows what is not recorded.
export function coverage(data: Data): HTMLElement {
  const lines = [...data.coverage, ...(data.leftOut ?? []).map((text) => [text])];
  if (lines.length === 0) {
    return section(
      "coverage",
      "What is not recorded",
      h("p", { class: "muted" }, "No gap is known in this time, and no kind is known to be missing."),
    );
  }
  const list = h("ul", { class: "notice" });
  for (const line of lines) list.append(h("li", {}, ...sentence(line)));
  return section("coverage", "What is not recorded", list);
}

// rules shows which rules match changes. It is empty for a report that checks
// none.
export function rules(data: Data): HTMLElement | undefined {
  if (!data.verdict) return undefined;
  const found = data.rules ?? [];
  return section("rules", "Rules", h("p", { class: found.length > 0 ? "bad" : "good" }, data.verdict), ...found.map(rule));
}

function rule(r: Rule): HTMLElement {
  const list = h("ul", {});
  for (const c of r.changes) list.append(h("li", {}, timeElement(c.t), " ", h("code", {}, c.name), ` ${c.text}`));
  if (r.more) list.append(h("li", { class: "muted" }, "Older changes match, too."));
  return h("article", { class: "card" }, h("h3", {}, h("code", {}, r.text)), list);
}

// problems shows what is wrong, and which changes may have caused it.
export function problems(data: Data): HTMLElement {
  const found = data.problems ?? [];
  if (found.length === 0) {
    const text = "No object that changed in this time has a problem at its end, as far as it is recorded.";
    return section("problems", "What is wrong", h("p", { class: "muted" }, text));
  }
  return section(
    "problems",
    "What is wrong",
    ...found.map(problem),
    data.moreProblems ? h("p", { class: "muted" }, "There may be more objects with a problem.") : undefined,
    h("p", { class: "muted" }, "None of these changes is known to be the cause."),
  );
}

function problem(p: Problem): HTMLElement {
  const symptoms = h("ul", { class: "symptoms" });
  for (const x of p.symptoms) symptoms.append(h("li", {}, h("span", { class: "bad" }, `✗ ${x.who} ${x.text}`), " since ", timeElement(x.t)));
  const card = h(
    "article",
    { class: "card" },
    h("h3", {}, p.name, p.ns ? h("span", { class: "ns" }, ` in ${p.ns}`) : undefined),
    h("p", {}, ...sentence(p.state)),
    symptoms,
  );
  if (p.unexplained) card.append(h("p", {}, ...sentence(p.unexplained)));
  for (const c of p.causes) card.append(cause(c));
  for (const text of p.unread ?? []) card.append(h("p", { class: "muted" }, `Not looked at: ${text}.`));
  return card;
}

function cause(c: Cause): HTMLElement {
  const reasons = h("p", { class: "muted reasons" });
  for (const text of [c.related, c.for && `+ ${c.for.join(", ")}`, c.against && `− ${c.against.join(", ")}`]) {
    if (text) reasons.append(h("span", {}, text));
  }
  return h(
    "div",
    { class: c.likely ? "cause likely" : "cause" },
    h(
      "p",
      {},
      h("strong", { class: "badge" }, c.likely ? "Likely" : "Less likely"),
      " ",
      timeElement(c.t),
      " ",
      h("code", {}, c.name),
      ` by ${c.who}, ${c.relative}`,
    ),
    h("p", { class: "fact" }, c.text),
    c.diff ? h("details", { open: c.likely }, h("summary", {}, "Diff"), diffLines(c.diff)) : undefined,
    reasons,
  );
}

// compared shows what differs between the start and the end.
export function compared(data: Data): HTMLElement {
  const c = data.compared;
  if (!c) {
    const text = "Nothing was recorded at the start of this time, so there is no comparison.";
    return section("compared", "Before and after", h("p", { class: "muted" }, text));
  }
  const meanings: Record<string, string> = { M: "changed", A: "created", D: "deleted", "=": "as before" };
  const body = h("tbody");
  for (const [mark, name, text, ns] of c.stats) {
    body.append(
      h(
        "tr",
        { class: `mark-${meanings[mark]?.split(" ")[0] ?? ""}` },
        h("td", { class: "mark" }, h("span", { "aria-hidden": "true" }, mark), hidden(meanings[mark] ?? mark)),
        h("td", { class: "object" }, name, ns ? h("span", { class: "ns" }, ` ${ns}`) : undefined),
        h("td", {}, text),
      ),
    );
  }
  const head = h("tr", {}, h("th", { scope: "col" }, hidden("Mark")), h("th", { scope: "col" }, "Object"), h("th", { scope: "col" }, "What differs"));
  return section(
    "compared",
    "Before and after",
    h("p", { class: "muted" }, "What differs between ", timeElement(c.from), " and ", timeElement(c.to), "."),
    c.stats.length > 0 ? h("table", { class: "plain stats" }, h("thead", {}, head), body) : undefined,
    h("p", {}, ...sentence(c.totals)),
    c.hidden ? h("p", { class: "muted" }, c.hidden) : undefined,
  );
}

// deleted shows the objects that were deleted, with their manifests.
export function deleted(data: Data): HTMLElement {
  const found = data.deleted ?? [];
  if (found.length === 0) {
    const text = "No object was deleted, apart from those that controllers delete.";
    return section("deleted", "Deleted objects", h("p", { class: "muted" }, text));
  }
  const list = h("div");
  for (const d of found) {
    const title = [timeElement(d.t), " ", h("code", {}, d.name), d.ns ? h("span", { class: "ns" }, ` in ${d.ns}`) : "", d.who ? ` ${d.who}` : ""];
    if (!d.manifest) {
      list.append(h("p", { class: "gone" }, ...title, h("span", { class: "muted" }, " (its manifest is not in this report)")));
      continue;
    }
    const details = h("details", { class: "gone" }, h("summary", {}, ...title));
    const manifest = d.manifest;
    details.addEventListener("toggle", () => details.append(h("pre", { class: "manifest" }, manifest)), { once: true });
    list.append(details);
  }
  return section("deleted", "Deleted objects", list);
}

// writers is the legend: who wrote, and what the page takes them for.
export function writers(data: Data): HTMLElement {
  const body = h("tbody");
  for (const w of data.writers ?? []) {
    const names = w.names.filter((n) => n !== w.short);
    body.append(
      h(
        "tr",
        {},
        h("td", { class: `who ${classNames[w.c]}` }, w.short),
        h("td", {}, classNames[w.c]),
        h("td", {}, names.length > 0 ? h("code", {}, names.join(", ")) : ""),
        h("td", { class: "number" }, w.n.toLocaleString("en")),
      ),
    );
  }
  const head = h("tr");
  for (const title of ["Writer", "Class", "Field manager", "Changes"]) head.append(h("th", { scope: "col" }, title));
  return section(
    "writers",
    "Writers",
    h(
      "p",
      { class: "muted" },
      "The API server records the names that clients give themselves, and does not verify them. ? means that it recorded none, as for deletions.",
    ),
    h("table", { class: "plain" }, h("thead", {}, head), body),
  );
}

// workloads shows how many pods of workloads were ready, and how many should
// have been.
export function workloads(state: State): HTMLElement | undefined {
  const found = state.data.workloads ?? [];
  if (found.length === 0) return undefined;
  const grid = h("ul", { class: "workloads" });
  const drawn = found.map((w) => {
    const frame = h("div", { class: "spark" });
    const last = w.points[w.points.length - 1];
    const least = Math.min(...w.points.map((p) => p[1]));
    const now = last ? `${last[1]} of ${last[2]} ready at the end` : "";
    grid.append(
      h(
        "li",
        {},
        h("p", {}, h("code", {}, w.name), w.ns ? h("span", { class: "ns" }, ` ${w.ns}`) : undefined),
        frame,
        h("p", { class: last && last[1] < last[2] ? "bad" : "muted" }, `${now}, ${least} at the lowest`),
      ),
    );
    return { w, frame };
  });
  const draw = () => {
    for (const { w, frame } of drawn) frame.replaceChildren(spark(w, state.filter.from, state.filter.to));
  };
  state.listen(draw);
  draw();
  return section("workloads", "Ready pods", h("p", { class: "muted" }, `${counted(found.length, "workload")}. Filled: ready. Line: desired.`), grid);
}

// spark draws the ready and desired pods of a workload.
function spark(w: Workload, from: number, to: number): SVGElement {
  const width = 240;
  const height = 48;
  const most = Math.max(1, ...w.points.flatMap((p) => [p[1], p[2]]));
  const x = (t: number) => (Math.min(Math.max((t - from) / (to - from), 0), 1) * width).toFixed(1);
  const y = (n: number) => (height - 2 - (n / most) * (height - 6)).toFixed(1);
  const path = (value: 1 | 2) => {
    let d = "";
    let n: number | undefined;
    for (const p of w.points) {
      d += n === undefined ? `M${x(p[0])} ${y(p[value])}` : `L${x(p[0])} ${y(n)}L${x(p[0])} ${y(p[value])}`;
      n = p[value];
    }
    return n === undefined ? "" : `${d}L${width} ${y(n)}`;
  };
  const first = w.points[0]?.[0] ?? from;
  return s(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    s("path", { class: "ready", d: `${path(1)}L${width} ${height}L${x(first)} ${height}Z` }),
    s("path", { class: "desired", d: path(2) }),
  );
}
