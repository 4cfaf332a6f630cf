/** The benchmark's arithmetic, arguments and rendering, from given figures. Nothing here is measured. */

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { readArguments } from "../scripts/bench/arguments.ts";
import { figuresSection } from "../scripts/bench/markdown_table.ts";
import { picture } from "../scripts/bench/picture.ts";
import { type BenchResult, compare, medianOf, type RowResult } from "../scripts/bench/result.ts";
import { median, ratioOf } from "../scripts/bench/statistics.ts";
import { rowReport } from "../scripts/bench/text_report.ts";
import { writeDocuments } from "../scripts/bench/write_documents.ts";

/** Pieces of work in a second, by contestant and round. */
function row(counts: Record<string, number[]>, absent: RowResult["absent"] = []): RowResult {
  const contestants = Object.entries(counts).map(([name, counts]) => ({
    name,
    samples: counts.map((count) => ({ count, ms: 1_000 })),
  }));
  const ratios = compare(contestants, ["rate"]);
  return { name: "webhook", work: "work of webhook", contestants, ratios, absent };
}

const DENO = row({
  ours: [3_000, 3_300, 3_600],
  original: [1_000, 1_000, 1_000],
  floor: [6_000, 6_000, 6_000],
});
const BUN = row(
  { ours: [8_000, 8_000, 8_000], floor: [9_000, 9_000, 9_000] },
  [{ name: "original", reason: "it does not start | here\n    at somewhere" }],
);
const RESULT: BenchResult = {
  date: "2026-11-24T10:00:00.000Z",
  machine: { cpu: "Some <Processor> & Co", cores: 2, memory: 2 ** 34, system: "linux" },
  versions: { PostgreSQL: "PostgreSQL 15.1", pg: "8.23.1", "drizzle-orm": "0.45.4" },
  rounds: 3,
  quick: false,
  runtimes: [
    { runtime: "Deno", version: "2.9.6", rows: [DENO] },
    { runtime: "Bun", version: "1.4.5", rows: [BUN] },
  ],
};

Deno.test("bench: medians, ratios round by round, and every quantity of the first over each other", () => {
  assertEquals([median([3]), median([30, 1, 2]), median([10, 2, 9, 1])], [3, 2, 5.5]);
  assertThrows(() => median([]), RangeError, "there are no values");
  // The second round was ten times slower for both.
  const ratio = { median: 2, min: 2, max: 3, perRound: [2, 2, 3] };
  assertEquals(ratioOf([100, 10, 120], [50, 5, 40]), ratio);
  assertThrows(() => ratioOf([1, 2], [1]), RangeError, "2 rounds of the one and 1 of the other");

  const contestants = [
    { name: "1,000,000 rows", samples: [{ count: 100, ms: 50, memory: 300, countingMs: 5 }] },
    { name: "10,000 rows", samples: [{ count: 10, ms: 10, memory: 200, countingMs: 2 }] },
  ] as const;
  const medians = compare(contestants, ["rate", "time", "memory", "counting"])
    .map(({ quantity, over, median }) => [quantity, over, median]);
  assertEquals(medians, [
    ["rate", "10,000 rows", 2],
    ["time", "10,000 rows", 0.5],
    ["memory", "10,000 rows", 1.5],
    ["counting", "10,000 rows", 4],
  ]);
  assertEquals([medianOf(contestants[0], "rate"), medianOf(contestants[0], "time")], [2_000, 0.5]);
});

Deno.test("bench: arguments", () => {
  const read = (...args: string[]) => readArguments(args, ["webhook", "coldStart"]);
  const some = read("--runtime", "bun,node20", "--runtime=deno", "--row", "webhook", "--rounds=3");
  const { runtimes, rows, rounds } = some;
  assertEquals([runtimes, rows, rounds], [["deno", "node20", "bun"], ["webhook"], 3]);
  const refused = {
    "--runtime node8": "there is no node8, only deno, node20",
    "--row webhok": "there is no webhok, only webhook",
    "--rounds 0": "0 is no number of rounds",
    "--rounds 2.5": "2.5 is no number of rounds",
    "--json": "it has no value",
    "--quick=yes": "there is no such argument",
    "webhook": "there is no such argument",
  };
  for (const [args, message] of Object.entries(refused)) {
    assertThrows(() => read(...args.split(" ")), TypeError, message);
  }
});

Deno.test("bench: terminal, table and picture show medians, ratios with their spread, and who is absent", () => {
  const text = rowReport(DENO);
  assertStringIncludes(text, "ours 3,300/s · original 1,000/s · floor 6,000/s");
  assertStringIncludes(text, "rate ÷ original = 3.30 (3.00–3.60), more is better");
  assertStringIncludes(text, "rate ÷ floor = 0.55 (0.50–0.60)");
  assertStringIncludes(rowReport(BUN), "original: not run, it does not start | here");

  const section = figuresSection(RESULT, ["webhook", "coldStart"]);
  assertEquals(section.split("\n").filter((line) => line.startsWith("|")), [
    "| work | compared | Deno 2.9.6 | Bun 1.4.5 |",
    "| --- | --- | --- | --- |",
    "| work of webhook | rate ÷ original | 3.30 | not run: it does not start \\| here |",
    "| work of webhook | rate ÷ floor | 0.55 | 0.89 |",
  ]);
  const measured =
    "PostgreSQL 15.1, node-postgres 8.23.1, drizzle-orm 0.45.4, 3 rounds, 2026-11-24";
  assertStringIncludes(section, measured);

  const svg = picture(RESULT);
  const bars = svg.matchAll(/<rect class="\w+" x="\d+" y="\d+" width="([\d.]+)" height="18"/g);
  const lengths = Array.from(bars, ([, width]) => Number(width));
  const longest = Math.max(...lengths);
  assertEquals(lengths.map((length) => Math.round(length / longest * 90)), [33, 10, 60, 80, 90]);
  assertStringIncludes(svg, "3,300/s ours");
  // Nothing was measured of cold starts, so there is no empty panel.
  assert(!svg.includes("first webhook stored"));
  assertEquals(svg.match(/<(?!\/?(svg|title|style|rect|text)\b)/g), null);

  for (const quick of [true, false]) {
    for (
      const document of [figuresSection({ ...RESULT, quick }, []), picture({ ...RESULT, quick })]
    ) {
      assertEquals(document.includes("these figures mean nothing"), quick);
    }
  }
});

Deno.test("bench: figures survive the way through JSON into the documents", async () => {
  const root = await Deno.makeTempDir();
  try {
    const readme = `${root}/README.md`;
    await Deno.writeTextFile(readme, "a\n<!-- bench:begin -->\nof before\n<!-- bench:end -->\nb\n");
    await writeDocuments(JSON.parse(JSON.stringify(RESULT)), root);
    const parts = (await Deno.readTextFile(readme)).split(/<!-- bench:(?:begin|end) -->/);
    assertEquals([parts[0]!.trim(), parts[2]!.trim()], ["a", "b"]);
    assertStringIncludes(parts[1]!, "(docs/benchmarks.svg)");
    assertStringIncludes(parts[1]!, "3.30");
    assert(!parts[1]!.includes("of before"));
    assertEquals(await Deno.readTextFile(`${root}/docs/benchmarks.svg`), picture(RESULT));
    await Deno.writeTextFile(readme, "<!-- bench:end --><!-- bench:begin -->");
    const renewed = writeDocuments(RESULT, root).catch((error) => error.message);
    assertStringIncludes(await renewed, 'it has no section "bench"');
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
