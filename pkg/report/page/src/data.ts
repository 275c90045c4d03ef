// The data of a report, as html_data.go writes it. Times are milliseconds since
// 1970. Texts are not escaped: they become text nodes.

// Parts is a sentence: texts, and times between them.
export type Parts = (string | number)[];

// Class is the class of a writer: unknown, a person, automation or a component
// of the cluster.
export type Class = 0 | 1 | 2 | 3;

// State is how a row ended: unknown, fine, under way or failing.
export type State = 0 | 1 | 2 | 3;

export interface Change {
  t: number;
  name: string;
  text: string;
  who?: string;
  diff?: string;
}

export interface Row {
  t: number; // the first change
  times?: number[]; // of all changes, if there are several
  who: string;
  c: Class;
  what: string;
  kind: string;
  ns?: string;
  text: Parts;
  end?: string; // how it ended
  z?: State;
  problem?: boolean;
  folded?: number; // consequences
  changes: Change[];
}

export interface Cause {
  likely: boolean;
  t: number;
  name: string;
  who: string;
  relative: string;
  text: string;
  related?: string;
  for?: string[];
  against?: string[];
  diff?: string;
}

export interface Problem {
  name: string;
  ns?: string;
  state: Parts;
  onset?: number;
  symptoms: { who: string; text: string; t: number }[];
  unexplained?: Parts;
  causes: Cause[];
  unread?: string[];
}

export interface Rule {
  text: string; // in CEL
  changes: Change[]; // that match
  more?: boolean;
}

export interface Workload {
  name: string;
  ns?: string;
  points: [time: number, ready: number, desired: number][];
}

export interface Data {
  coverage: Parts[];
  gaps?: { start: number; end?: number; text: Parts }[];
  leftOut?: string[];
  title: string;
  place: string;
  totals: string;
  start: number;
  end: number;
  recorded?: number; // when recording began, if that is after the start
  verdict?: string; // how many rules match a change
  rules?: Rule[]; // those that do
  problems?: Problem[];
  moreProblems?: boolean;
  rows?: Row[];
  nodes?: [number, string][];
  warnings?: [number, string][];
  unready?: [number, number][]; // a step function: the number of pods from a time on
  workloads?: Workload[];
  compared?: { from: number; to: number; stats: [mark: string, name: string, text: string, ns?: string][]; totals: Parts; hidden?: string };
  deleted?: { t: number; name: string; ns?: string; who?: string; manifest?: string }[];
  writers?: { short: string; names: string[]; c: Class; n: number }[];
  markdown: string;
}

// readData decodes the data of the page: JSON, compressed and in base64, so
// that nothing in it can be markup.
export async function readData(): Promise<Data> {
  const text = document.getElementById("data")?.textContent ?? "";
  const bytes = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return (await new Response(stream).json()) as Data;
}
