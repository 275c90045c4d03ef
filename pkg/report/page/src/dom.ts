// Elements are made by these functions only. They take texts, never markup.

type Value = string | number | boolean | undefined | ((event: Event) => void);
type Child = Node | string | undefined;

// h returns an element. A property that is a function listens to the event of
// its name.
export function h<K extends keyof HTMLElementTagNameMap>(
  name: K,
  properties: Record<string, Value> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  set(element, properties);
  append(element, children);
  return element;
}

// s is h for SVG.
export function s<K extends keyof SVGElementTagNameMap>(
  name: K,
  properties: Record<string, Value> = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  set(element, properties);
  append(element, children);
  return element;
}

function set(element: Element, properties: Record<string, Value>): void {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
}

function append(element: Element, children: Child[]): void {
  for (const child of children) if (child !== undefined) element.append(child);
}

// hidden returns a text for screen readers only.
export const hidden = (text: string): HTMLElement => h("span", { class: "hidden" }, text);

// counted returns a number with a noun.
export const counted = (n: number, noun: string): string => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

// diffLines returns a diff whose lines are marked as added and removed.
export function diffLines(text: string): HTMLElement {
  const pre = h("pre", { class: "diff" });
  for (const line of text.split("\n")) {
    const kind = line.startsWith("+") ? "ins" : line.startsWith("-") ? "del" : "span";
    pre.append(h(kind, { class: "line" }, line || " "), "\n");
  }
  return pre;
}
