/** The benchmark's arithmetic, arguments and rendering, from given figures. Nothing here is measured. */

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { readArguments } from "../scripts/bench/arguments.ts";
import { figuresSection } from "../scripts/bench/markdown_table.ts";
import { picture } from "../scripts/bench/picture.ts";
import {
  type BenchResult,
  compare,
  type ContestantResult,
  medianOf,
  type RowResult,
} from "../scripts/bench/result.ts";
import { allRows } from "../scripts/bench/rows.ts";
import { median, ratioOf } from "../scripts/bench/statistics.ts";
import { rowReport } from "../scripts/bench/text_report.ts";
import { writeDocuments } from "../scripts/bench/write_documents.ts";
import { withSection } from "../scripts/lib/marked_section.ts";

/** One sample a round: pieces of work in a second. */
const contestant = (name: string, ...counts: number[]): ContestantResult => ({
  name,
  samples: counts.map((count) => ({ count, ms: 1_000 })),
});

function row(name: string, contestants: ContestantResult[], absent: RowResult["absent"] = []) {
  return {
    name,
    work: `work of ${name}`,
    contestants,
    ratios: compare(contestants, ["rate"]),
    absent,
  };
}

function result(changes: Partial<BenchResult> = {}): BenchResult {
  return {
    date: "2026-11-24T10:00:00.000Z",
    machine: { cpu: "Some <Processor> & Co", cores: 2, memory: 2 ** 34, system: "linux" },
    versions: { PostgreSQL: "PostgreSQL 15.1", pg: "8.23.1", "drizzle-orm": "0.45.4" },
    rounds: 3,
    quick: false,
    runtimes: [
      {
        runtime: "Deno",
        version: "2.9.6",
        rows: [row("webhook", [
          contestant("ours", 3_000, 3_300, 3_600),
          contestant("original", 1_000, 1_000, 1_000),
          contestant("floor", 6_000, 6_000, 6_000),
        ])],
      },
      {
        runtime: "Bun",
        version: "1.4.5",
        rows: [row("webhook", [
          contestant("ours", 8_000, 8_000, 8_000),
          contestant("floor", 9_000, 9_000, 9_000),
        ], [{ name: "original", reason: "it does not start | here\n    at somewhere" }])],
      },
    ],
    ...changes,
  };
}

Deno.test("bench: the median of odd and even numbers of values, in any order", () => {
  assertEquals(median([3]), 3);
  assertEquals(median([30, 1, 2]), 2);
  assertEquals(median([10, 2, 9, 1]), 5.5);
  assertThrows(() => median([]), RangeError, "there are no values");
});

Deno.test("bench: ratios are taken per round, so a slow round does not show", () => {
  // The second round was ten times slower for both.
  assertEquals(ratioOf([100, 10, 120], [50, 5, 40]), {
    median: 2,
    min: 2,
    max: 3,
    perRound: [2, 2, 3],
  });
  assertThrows(() => ratioOf([1, 2], [1]), RangeError, "2 rounds of the one and 1 of the other");
});

Deno.test("bench: the first contestant is divided by each other one, in each quantity", () => {
  const contestants = [
    { name: "1,000,000 rows", samples: [{ count: 100, ms: 50, memory: 300, countingMs: 5 }] },
    { name: "10,000 rows", samples: [{ count: 10, ms: 10, memory: 200, countingMs: 2 }] },
  ];
  const medians = compare(contestants, ["rate", "time", "memory", "counting"])
    .map(({ quantity, over, median }) => [quantity, over, median]);
  assertEquals(medians, [
    ["rate", "10,000 rows", 2],
    ["time", "10,000 rows", 0.5],
    ["memory", "10,000 rows", 1.5],
    ["counting", "10,000 rows", 4],
  ]);
  assertEquals(medianOf(contestants[0]!, "rate"), 2_000);
  assertEquals(medianOf(contestants[0]!, "time"), 0.5);
});

Deno.test("bench: arguments", () => {
  const names = allRows(10).map(({ name }) => name);
  assertEquals(readArguments([], names), {
    runtimes: ["deno"],
    rows: [],
    rounds: 7,
    quick: false,
    full: false,
    json: undefined,
    from: undefined,
    write: false,
  });
  const some = readArguments(
    ["--runtime", "bun,node20", "--runtime=deno", "--row", "webhook,coldStart", "--rounds=3"],
    names,
  );
  assertEquals(some.runtimes, ["deno", "node20", "bun"]);
  assertEquals(some.rows, ["webhook", "coldStart"]);
  assertEquals(some.rounds, 3);
  assertEquals(readArguments(["--runtime", "all"], names).runtimes.length, 4);
  assertEquals(readArguments(["--quick"], names).rounds, 2);
  assertEquals(readArguments(["--json", "a,b.json"], names).json, "a,b.json");
  for (
    const [args, message] of [
      [["--runtime", "node8"], "there is no node8, only deno, node20"],
      [["--row", "webhok"], "there is no webhok, only webhook"],
      [["--rounds", "0"], "0 is no number of rounds"],
      [["--rounds", "2.5"], "2.5 is no number of rounds"],
      [["--json"], "it has no value"],
      [["--quick=yes"], "there is no such argument"],
      [["webhook"], "there is no such argument"],
    ] as const
  ) {
    assertThrows(() => readArguments(args, names), TypeError, message);
  }
});

Deno.test("bench: rows have different names, and contestants that can be told apart", () => {
  const rows = allRows(1_000_000);
  assertEquals(new Set(rows.map(({ name }) => name)).size, rows.length);
  for (const { name, contestants } of rows) {
    const names = contestants.map((contestant) => contestant.name);
    assert(new Set(names).size === names.length && names.length > 1, name);
  }
  // What has a million rows is for --full alone.
  for (const { name, full, contestants } of rows) {
    assertEquals(contestants.some(({ instances }) => instances > 10_000), full ?? false, name);
  }
});

Deno.test("bench: the terminal shows medians, ratios with their spread, and who is absent", () => {
  const [deno, bun] = result().runtimes;
  const text = rowReport(deno!.rows[0]!);
  assertStringIncludes(text, "ours 3,300/s · original 1,000/s · floor 6,000/s");
  assertStringIncludes(text, "rate ÷ original = 3.30 (3.00–3.60), more is better");
  assertStringIncludes(text, "rate ÷ floor = 0.55 (0.50–0.60)");
  assertStringIncludes(rowReport(bun!.rows[0]!), "original: not run, it does not start | here");
});

Deno.test("bench: the README's table has a column for each runtime, absent contestants included", () => {
  const section = figuresSection(result(), ["webhook", "coldStart"]);
  assertEquals(section.split("\n").filter((line) => line.startsWith("|")), [
    "| work | compared | Deno 2.9.6 | Bun 1.4.5 |",
    "| --- | --- | --- | --- |",
    "| work of webhook | rate ÷ original | 3.30 | not run: it does not start \\| here |",
    "| work of webhook | rate ÷ floor | 0.55 | 0.89 |",
  ]);
  assertStringIncludes(section, "PostgreSQL 15.1, node-postgres 8.23.1, drizzle-orm 0.45.4");
  assertStringIncludes(section, "2026-11-24");
  assert(!section.includes("smoke run"));
  assertStringIncludes(figuresSection(result({ quick: true }), []), "these figures mean nothing");
});

Deno.test("bench: the picture has a bar for each contestant, as long as it is fast", () => {
  const svg = picture(result());
  const bars = [
    ...svg.matchAll(/<rect class="(\w+)" x="\d+" y="\d+" width="([\d.]+)" height="18"/g),
  ]
    .map(([, name, width]) => [name, Number(width)] as const);
  assertEquals(bars.map(([name]) => name), ["ours", "original", "floor", "ours", "floor"]);
  const [longest] = bars.map(([, width]) => width).toSorted((a, b) => b - a);
  assert(longest! > 360, "the longest takes half of the width");
  const expected = [3_300, 1_000, 6_000, 8_000, 9_000].map((rate) => rate / 9_000 * longest!);
  bars.forEach(([name, width], index) =>
    assert(Math.abs(width - expected[index]!) < 0.1, `${name}: ${width}`)
  );
  assertStringIncludes(svg, "3,300/s ours");
  assertStringIncludes(svg, "Bun 1.4.5");
  // Nothing was measured of cold starts, so there is no empty panel.
  assert(!svg.includes("first webhook stored"));
  assertEquals(svg.match(/<(?!\/?(svg|title|style|rect|text)\b)/g), null);
  assertStringIncludes(picture(result({ quick: true })), "these figures mean nothing");
});

Deno.test("bench: a section is written between its markers, and nowhere else", () => {
  const text = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\n<!-- y:begin --><!-- y:end -->\n";
  assertEquals(
    withSection(text, "x", "new"),
    "a\n<!-- x:begin -->\n\nnew\n\n<!-- x:end -->\n<!-- y:begin --><!-- y:end -->\n",
  );
  assertEquals(withSection(text, "z", "new"), undefined);
  assertEquals(withSection("<!-- x:end --><!-- x:begin -->", "x", "new"), undefined);
});

Deno.test("bench: figures survive the way through JSON into the documents", async () => {
  const root = await Deno.makeTempDir();
  try {
    const saved: BenchResult = JSON.parse(JSON.stringify(result()));
    await Deno.writeTextFile(
      `${root}/README.md`,
      "# A\n\n<!-- bench:begin -->\n<!-- bench:end -->\n",
    );
    await writeDocuments(saved, root);
    const readme = await Deno.readTextFile(`${root}/README.md`);
    assertStringIncludes(readme, "(docs/benchmarks.svg)");
    assertStringIncludes(readme, "3.30");
    assertEquals(await Deno.readTextFile(`${root}/docs/benchmarks.svg`), picture(result()));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
