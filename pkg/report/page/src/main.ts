import "./style.css";
import { Chart } from "./chart";
import { readData, type Class, type Data } from "./data";
import { h } from "./dom";
import { List } from "./list";
import { compared, coverage, deleted, problems, rules, section, workloads, writers } from "./sections";
import { State } from "./state";
import { isUTC, setRange, setUTC, timeElement, zoneName } from "./time";

async function main(): Promise<void> {
  const data = await readData();
  setRange(data.start, data.end);
  const state = new State(data);
  const chart = new Chart(state);
  const list = new List(state);
  const help = helpDialog();
  const page = document.getElementById("page") as HTMLElement;
  page.replaceChildren(
    header(data, help, () => {
      chart.draw();
    }),
    h(
      "main",
      { id: "content" },
      ...(data.rules ? [rules(data), coverage(data)] : [coverage(data), rules(data)]).map((part) => part ?? ""),
      problems(data),
      section("timeline", "Timeline", chart.element),
      section("changes", "Changes", filters(state), list.element),
      workloads(state) ?? "",
      compared(data),
      deleted(data),
      writers(data),
    ),
    help,
  );
  chart.draw();
  keys(state, help);
  document.documentElement.dataset.ready = "true";
}

// header returns the title, what the report is about, and the switches of the
// page.
function header(data: Data, help: HTMLDialogElement, redraw: () => void): HTMLElement {
  const zone = h("button", { type: "button", class: "zone" }, zoneName());
  const nameZone = () => {
    zone.textContent = zoneName();
    zone.setAttribute("aria-label", `Times are in ${zoneName()}. Switch to ${isUTC() ? "local time" : "UTC"}`);
  };
  nameZone();
  zone.addEventListener("click", () => {
    setUTC(!isUTC());
    nameZone();
    redraw();
  });
  const copied = h("span", { class: "hidden", role: "status", "aria-live": "polite" });
  const copy = h("button", { type: "button" }, "Copy as Markdown");
  copy.addEventListener("click", () => {
    void copyText(data.markdown).then((ok) => {
      copied.textContent = ok ? "Copied." : "Not copied: the browser does not allow it.";
      copy.textContent = ok ? "Copied" : "Not copied";
      setTimeout(() => (copy.textContent = "Copy as Markdown"), 2000);
    });
  });
  return h(
    "header",
    {},
    h("h1", {}, data.title),
    h(
      "p",
      { class: "about" },
      h("strong", {}, data.place),
      " · ",
      timeElement(data.start, "dated"),
      " – ",
      timeElement(data.end, "dated"),
      ` · ${data.totals}`,
    ),
    h(
      "div",
      { class: "bar controls" },
      zone,
      themeButton(),
      copy,
      h("button", { type: "button", "aria-label": "Keyboard help", click: () => help.showModal() }, "?"),
      copied,
    ),
  );
}

// themeButton switches between the theme of the system, light and dark.
function themeButton(): HTMLElement {
  const themes = ["auto", "light", "dark"];
  const root = document.documentElement;
  const button = h("button", { type: "button", class: "theme" });
  const show = (theme: string) => {
    root.dataset.theme = theme;
    button.textContent = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" }[theme] ?? theme;
    button.setAttribute("aria-label", `Theme: ${theme}. Switch to ${themes[(themes.indexOf(theme) + 1) % 3]}`);
  };
  button.addEventListener("click", () => show(themes[(themes.indexOf(root.dataset.theme ?? "auto") + 1) % 3] ?? "auto"));
  show("auto");
  return button;
}

// copyText writes a text to the clipboard, also if the page is not in a secure
// context.
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const ok = document.execCommand("copy");
    area.remove();
    return ok;
  }
}

// filters returns the inputs that select rows.
function filters(state: State): HTMLElement {
  const rows = state.data.rows ?? [];
  const search = h("input", { type: "search", id: "search", placeholder: "Filter by text", autocomplete: "off", spellcheck: "false" });
  let waiting = 0;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      state.filter.text = search.value;
      state.changed();
    }, 100);
  });
  const bar = h("div", { class: "bar filters", role: "search", "aria-label": "Filter the changes" });
  bar.append(h("label", { for: "search", class: "hidden" }, "Filter by text"), search);
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Writers" });
  for (const [c, title] of [[1, "People"], [2, "Automation"], [3, "Cluster"], [0, "Unknown"]] as [Class, string][]) {
    const n = rows.filter((r) => r.c === c).length;
    if (n === 0) continue;
    const chip = h("button", { type: "button", class: `chip c${c}`, "aria-pressed": "false" }, `${title} ${n.toLocaleString("en")}`);
    chip.addEventListener("click", () => {
      const on = !state.filter.classes.has(c);
      if (on) state.filter.classes.add(c);
      else state.filter.classes.delete(c);
      chip.setAttribute("aria-pressed", String(on));
      state.changed();
    });
    chips.append(chip);
  }
  bar.append(chips);
  const choices = (id: string, all: string, values: string[], act: (value: string) => void) => {
    const different = [...new Set(values.filter(Boolean))].sort();
    if (different.length < 2) return;
    const select = h("select", { id }, h("option", { value: "" }, all));
    for (const value of different) select.append(h("option", { value }, value));
    select.addEventListener("change", () => {
      act(select.value);
      state.changed();
    });
    bar.append(h("label", { for: id, class: "hidden" }, all), select);
  };
  choices("kind", "All kinds", rows.map((r) => r.kind), (value) => (state.filter.kind = value));
  choices("namespace", "All namespaces", rows.map((r) => r.ns ?? ""), (value) => (state.filter.namespace = value));
  const zoomed = h("button", { type: "button", class: "zoomed" }, "Only the selected time ✕");
  zoomed.addEventListener("click", () => state.zoom(state.start, state.end));
  const follow = () => (zoomed.hidden = !state.isZoomed());
  state.listen(follow);
  follow();
  bar.append(zoomed);
  return bar;
}

// helpDialog lists the keys.
function helpDialog(): HTMLDialogElement {
  const list = h("dl");
  for (const [key, text] of [
    ["/", "Filter the changes by a text"],
    ["↑ ↓", "Previous and next row; also Page Up, Page Down, Home and End"],
    ["Enter", "Open or close a row"],
    ["Esc", "Close the row or this help, clear the text, or show the whole time"],
    ["← → + −", "In the timeline: move and zoom"],
    ["?", "This help"],
  ] as const) {
    list.append(h("dt", {}, h("kbd", {}, key)), h("dd", {}, text));
  }
  const close = h("button", { type: "button", autofocus: true }, "Close");
  const dialog = h("dialog", { "aria-labelledby": "help-title" }, h("h2", { id: "help-title" }, "Keyboard"), list, close);
  close.addEventListener("click", () => dialog.close());
  return dialog;
}

// keys handles the keys of the whole page.
function keys(state: State, help: HTMLDialogElement): void {
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || help.open) return;
    const search = document.getElementById("search") as HTMLInputElement;
    const types = (e.target as Element).matches("input, select, textarea");
    if (e.key === "Escape" && e.target === search) {
      search.value = "";
      state.filter.text = "";
      state.changed();
      search.blur();
    } else if (e.key === "Escape" && !types) {
      state.zoom(state.start, state.end);
    } else if (e.key === "?" && !types) {
      e.preventDefault();
      help.showModal();
    } else if (e.key === "/" && !types) {
      e.preventDefault();
      search.focus();
    } else if (e.key === "ArrowDown" && e.target === document.body) {
      e.preventDefault();
      document.querySelector<HTMLElement>('.what[tabindex="0"]')?.focus();
    }
  });
}

main().catch((error: unknown) => {
  const page = document.getElementById("page") as HTMLElement;
  page.replaceChildren(h("p", { role: "alert" }, `The report can't be read: ${String(error)}`));
});
