/**
 * Arguments of `deno task bench`.
 *
 * @module
 */

/** Runtimes by the names that arguments have for them. */
export const RUNTIMES = ["deno", "node20", "node24", "bun"] as const;

/** A runtime. */
export type RuntimeName = typeof RUNTIMES[number];

/** What to do. */
export interface BenchArguments {
  readonly runtimes: readonly RuntimeName[];
  /** Names of rows; all if empty. */
  readonly rows: readonly string[];
  readonly rounds: number;
  readonly quick: boolean;
  readonly full: boolean;
  /** File that gets the result. */
  readonly json: string | undefined;
  /** File with the result of an earlier run, to be rendered instead of measuring. */
  readonly from: string | undefined;
  /** Whether the picture and the README's table are renewed. */
  readonly write: boolean;
}

export const USAGE =
  `deno task bench [--runtime NAME…] [--row NAME…] [--rounds N] [--full] [--quick]
                [--json FILE] [--from FILE] [--write]

  --runtime  ${RUNTIMES.join(", ")} or all; several with commas. Default: deno
  --row      only these rows; several with commas
  --rounds   how often everything is measured. Default: 7, with --quick 2
  --full     the rows with 1,000,000 rows, too; with --quick they have 20,000
  --quick    a smoke run: it shows that everything works, its figures mean nothing
  --json     write everything that was measured into a file
  --from     take the figures from such a file instead of measuring
  --write    renew docs/benchmarks.svg and the table in README.md`;

const FLAGS = ["--quick", "--full", "--write"];
const OPTIONS = ["--runtime", "--row", "--rounds", "--json", "--from"];

/**
 * Reads the arguments.
 *
 * @param args As the program got them.
 * @param rowNames The rows that there are.
 * @throws {TypeError} They make no sense.
 */
export function readArguments(
  args: readonly string[],
  rowNames: readonly string[],
): BenchArguments {
  const flags = new Set<string>();
  const values: Record<string, string[]> = {};
  for (let index = 0; index < args.length; index++) {
    const [name, inline] = splitOnce(args[index]!);
    if (FLAGS.includes(name) && inline === undefined) flags.add(name);
    else if (OPTIONS.includes(name)) {
      const value = inline ?? args[++index];
      if (!value) throw new TypeError(`Reading ${name}: it has no value`);
      (values[name] ??= []).push(...value.split(","));
    } else throw new TypeError(`Reading ${args[index]}: there is no such argument`);
  }
  const quick = flags.has("--quick");
  return {
    runtimes: runtimesOf(values["--runtime"] ?? ["deno"]),
    rows: (values["--row"] ?? []).map((name) => oneOf("--row", name, rowNames)),
    rounds: roundsOf(values["--rounds"]?.at(-1) ?? (quick ? "2" : "7")),
    quick,
    full: flags.has("--full"),
    json: values["--json"]?.join(),
    from: values["--from"]?.join(),
    write: flags.has("--write"),
  };
}

function splitOnce(argument: string): [string, string | undefined] {
  const end = argument.indexOf("=");
  return end === -1 ? [argument, undefined] : [argument.slice(0, end), argument.slice(end + 1)];
}

function runtimesOf(names: readonly string[]): RuntimeName[] {
  const chosen = names.flatMap((name) =>
    name === "all" ? RUNTIMES : [oneOf("--runtime", name, RUNTIMES)]
  );
  return RUNTIMES.filter((name) => chosen.includes(name));
}

function roundsOf(text: string): number {
  const rounds = Number(text);
  if (!Number.isSafeInteger(rounds) || rounds < 1) {
    throw new TypeError(`Reading --rounds: ${text} is no number of rounds`);
  }
  return rounds;
}

function oneOf<T extends string>(option: string, name: string, names: readonly T[]): T {
  const found = names.find((candidate) => candidate === name);
  if (found === undefined) {
    throw new TypeError(`Reading ${option}: there is no ${name}, only ${names.join(", ")}`);
  }
  return found;
}
