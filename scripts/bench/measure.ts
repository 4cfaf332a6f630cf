/**
 * Has contestants do a row's work in turn, round after round.
 *
 * @module
 */
import type { GuardedDirectory } from "../../tools/guarded_directory.ts";
import type { RuntimeName } from "./arguments.ts";
import { ContestantProcess } from "./contestant_process.ts";
import type { Databases } from "./databases.ts";
import { FreshProcesses } from "./fresh_processes.ts";
import { compare, type ContestantResult, type RowResult, type Sample } from "./result.ts";
import type { Contestant, Row } from "./rows.ts";
import type { Runtimes } from "./runtimes.ts";

/** How long and how often. */
export interface Pace {
  readonly rounds: number;
  /** How often contestants take turns within a round. */
  readonly turns: number;
  /** How long a turn takes, in milliseconds. */
  readonly sliceMs: number;
  /** How long everybody warms up, in milliseconds. */
  readonly warmUpMs: number;
}

export const ORDINARY_PACE = { turns: 4, sliceMs: 250, warmUpMs: 2_000 } as const;
export const QUICK_PACE = { turns: 2, sliceMs: 30, warmUpMs: 60 } as const;

/** Most pieces of work in one slice: requests and rows are made ready beforehand, and take memory. */
const LARGEST_SLICE = 5_000;

/** Rounds of what takes minutes. */
const MOST_ROUNDS_OF_FULL_PROCESSES = 3;

/** Where contestants come from. */
export interface Arena {
  readonly directory: GuardedDirectory;
  readonly databases: Databases;
  readonly runtimes: Runtimes;
}

/** A contestant that is ready. */
interface Ready {
  readonly name: string;
  /** Its turn. */
  turn(): Promise<Sample>;
  end(): Promise<void>;
}

/** Measures a row on a runtime. Who cannot do it is absent, with the reason. */
export async function measureRow(
  arena: Arena,
  runtime: RuntimeName,
  row: Row,
  pace: Pace,
): Promise<RowResult> {
  const absent: { name: string; reason: string }[] = [];
  let present: Ready[] = [];
  const collected = new Map<string, Sample[]>();
  const leave = async (contestant: Pick<Contestant, "name">, error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    absent.push({ name: contestant.name, reason });
    await present.find(({ name }) => name === contestant.name)?.end();
    present = present.filter(({ name }) => name !== contestant.name);
  };

  for (const contestant of row.contestants) {
    await ready(arena, runtime, row, contestant, pace).then(
      (contestant) => void present.push(contestant),
      (error) => leave(contestant, error),
    );
  }
  const [subject] = row.contestants;
  const { rounds, turns } = paceOf(row, pace);
  for (let round = 0; round < rounds && present[0]?.name === subject?.name; round++) {
    const taken = new Map<string, Sample[]>();
    for (let turn = 0; turn < turns; turn++) {
      // There and back, so that what changes steadily does not favour anybody.
      for (const contestant of turn % 2 === 0 ? [...present] : present.toReversed()) {
        try {
          const samples = taken.get(contestant.name) ?? [];
          taken.set(contestant.name, [...samples, await contestant.turn()]);
        } catch (error) {
          await leave(contestant, error);
        }
      }
    }
    for (const [name, samples] of taken) {
      collected.set(name, [...collected.get(name) ?? [], sum(samples)]);
    }
  }
  for (const contestant of present) await contestant.end();

  const contestants: ContestantResult[] = present
    .filter(({ name }) => collected.has(name))
    .map(({ name }) => ({ name, samples: collected.get(name)! }));
  const subjectRan = contestants[0]?.name === subject?.name;
  return {
    name: row.name,
    work: row.work,
    contestants,
    ratios: subjectRan ? compare(contestants, row.quantities) : [],
    absent,
  };
}

function paceOf(row: Row, { rounds, turns }: Pace): { rounds: number; turns: number } {
  if (row.processes === "one") return { rounds, turns };
  // A sample is a whole process already.
  return { turns: 1, rounds: row.full ? Math.min(rounds, MOST_ROUNDS_OF_FULL_PROCESSES) : rounds };
}

function sum(samples: readonly Sample[]): Sample {
  if (samples.length === 1) return samples[0]!;
  return {
    count: samples.reduce((total, { count }) => total + count, 0),
    ms: samples.reduce((total, { ms }) => total + ms, 0),
  };
}

async function ready(
  { directory, databases, runtimes }: Arena,
  runtime: RuntimeName,
  row: Row,
  contestant: Contestant,
  pace: Pace,
): Promise<Ready> {
  const { name, program, workload, instances, lastEvents = false } = contestant;
  const command = await runtimes.command(runtime, program);
  if (row.processes === "fresh") {
    const fresh = new FreshProcesses(directory, databases);
    const turn = () => fresh.sample(command, contestant);
    // Compiled modules and files are in caches from then on. It would take minutes in large tables.
    if (!row.full) await turn();
    return { name, turn, end: () => Promise.resolve() };
  }
  const url = await databases.url(instances);
  await databases.settle(url);
  const process = new ContestantProcess(directory, command, { url, instances, lastEvents });
  const slice = (count: number) => process.slice({ workload, count, concurrency: row.concurrency });
  try {
    const count = await warmUp(slice, row.concurrency, pace);
    return {
      name,
      turn: async () => ({ count, ms: await slice(count) }),
      end: () => process.end(),
    };
  } catch (error) {
    await process.end();
    throw error;
  }
}

/** Works until the contestant is warm, and finds out how much it does in the time of a slice. */
async function warmUp(
  slice: (count: number) => Promise<number>,
  concurrency: number,
  { sliceMs, warmUpMs }: Pace,
): Promise<number> {
  let count = concurrency;
  for (let passed = 0;;) {
    const ms = await slice(count);
    passed += ms;
    const fitting = Math.round(count / ms * sliceMs);
    // Not at once: the first ones are slow.
    count = Math.max(concurrency, Math.min(fitting, 4 * count, LARGEST_SLICE));
    if (passed >= warmUpMs) return count;
  }
}
