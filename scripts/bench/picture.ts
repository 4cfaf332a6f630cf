/**
 * The picture: bars for this library, the original and the floor, on each runtime.
 *
 * @module
 */
import { runtimeTitle, withUnit } from "./figures.ts";
import { type BenchResult, medianOf, type Quantity } from "./result.ts";

const WIDTH = 720;
const MARGIN = 24;
const LABEL_WIDTH = 110;
const VALUE_WIDTH = 190;
const BAR = 18;
const GAP = 4;
const GROUP_GAP = 14;
const BARS_WIDTH = WIDTH - 2 * MARGIN - LABEL_WIDTH - VALUE_WIDTH;

/** The panels, from top to bottom. */
const PANELS: readonly { row: string; title: string; quantity: Quantity }[] = [
  {
    row: "webhook",
    title: "Signed webhooks stored per second, 16 at once (more is better)",
    quantity: "rate",
  },
  {
    row: "coldStart",
    title: "From the start of the process to the first webhook stored (less is better)",
    quantity: "time",
  },
];

/** Contestants in the picture, and their classes in its style. */
const CLASSES: Readonly<Record<string, string>> = {
  ours: "ours",
  original: "original",
  floor: "floor",
};

const TITLES: Readonly<Record<string, string>> = {
  ours: "this library",
  original: "original (mitthooks)",
  floor: "bare Web Crypto and SQL",
};

// A card with a background of its own can be read on every page.
const STYLE = `
    text { font: 13px -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
    .card { fill: #ffffff; stroke: #d0d7de; }
    .title { font-weight: 600; font-size: 14px; }
    .note { fill: #57606a; font-size: 12px; }
    .ours { fill: #0969da; }
    .original { fill: #bf8700; }
    .floor { fill: #8c959f; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .card { fill: #0d1117; stroke: #3d444d; }
      .note { fill: #9198a1; }
      .ours { fill: #4493f8; }
      .original { fill: #d29922; }
      .floor { fill: #6e7681; }
    }`;

interface Bar {
  readonly name: string;
  readonly value: number;
}

interface Group {
  readonly label: string;
  readonly bars: readonly Bar[];
}

/** Draws the picture. */
export function picture(result: BenchResult): string {
  const body: string[] = [];
  let y = MARGIN + 14;
  for (const { row, title, quantity } of PANELS) {
    const groups = groupsOf(result, row, quantity);
    if (groups.length === 0) continue;
    body.push(text(MARGIN, y, title, "title"));
    y += 16;
    const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)));
    for (const { label, bars } of groups) {
      const height = bars.length * (BAR + GAP) - GAP;
      body.push(text(MARGIN, y + height / 2 + 4, label));
      for (const { name, value } of bars) {
        const width = Math.max(1, value / most * BARS_WIDTH);
        const left = MARGIN + LABEL_WIDTH;
        body.push(
          `<rect class="${CLASSES[name]}" x="${left}" y="${y}" width="${
            width.toFixed(1)
          }" height="${BAR}" rx="2"/>`,
          text(left + width + 8, y + 13, `${withUnit(value, quantity)} ${name}`),
        );
        y += BAR + GAP;
      }
      y += GROUP_GAP - GAP;
    }
    y += 20;
  }
  body.push(...legend(y));
  y += 24;
  body.push(text(MARGIN, y, noteOf(result), "note"));
  return document(y + MARGIN - 6, body);
}

function groupsOf(result: BenchResult, name: string, quantity: Quantity): Group[] {
  return result.runtimes.flatMap((runtime) => {
    const contestants = runtime.rows.find((row) => row.name === name)?.contestants ?? [];
    const bars = contestants.filter(({ name }) => name in CLASSES)
      .map((contestant) => ({ name: contestant.name, value: medianOf(contestant, quantity) }));
    return bars.length === 0 ? [] : [{ label: runtimeTitle(runtime), bars }];
  });
}

function legend(y: number): string[] {
  let x = MARGIN;
  return Object.entries(TITLES).flatMap(([name, title]) => {
    const left = x;
    x += 42 + title.length * 7.2;
    return [
      `<rect class="${CLASSES[name]}" x="${left}" y="${y - 11}" width="14" height="14" rx="2"/>`,
      text(left + 20, y, title),
    ];
  });
}

function noteOf({ machine, versions, rounds, date, quick }: BenchResult): string {
  if (quick) return "A smoke run: these figures mean nothing";
  const parts = [
    `Medians of ${rounds} rounds`,
    `${machine.cores} cores`,
    versions["PostgreSQL"] ?? "PostgreSQL",
    `node-postgres ${versions["pg"]}`,
    date.slice(0, 10),
  ];
  return parts.join(" · ");
}

function text(x: number, y: number, content: string, className?: string): string {
  const attributes = className === undefined ? "" : ` class="${className}"`;
  return `<text${attributes} x="${Math.round(x)}" y="${Math.round(y)}">${escape(content)}</text>`;
}

function escape(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function document(height: number, body: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">
  <title>Benchmarks: this library, the original and the floor</title>
  <style>${STYLE}
  </style>
  <rect class="card" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="8"/>
${body.map((line) => `  ${line}`).join("\n")}
</svg>
`;
}
