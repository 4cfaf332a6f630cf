/**
 * Arguments of `deno task test:model` and `deno task test:failover`.
 *
 * @module
 */

/** What they say. */
export interface ModelArguments {
  readonly deliveries: number;
  readonly seed: number;
  readonly flags: ReadonlySet<string>;
}

/**
 * Reads them.
 *
 * @param args As the program got them.
 * @param deliveries How many there are without the argument.
 * @param knownFlags What else there may be.
 * @throws {TypeError} They make no sense.
 */
export function readModelArguments(
  args: readonly string[],
  deliveries: number,
  knownFlags: readonly string[] = [],
): ModelArguments {
  const flags = new Set<string>();
  const numbers = { "--deliveries": deliveries, "--seed": newSeed() };
  for (let index = 0; index < args.length; index++) {
    const [name, inline] = args[index]!.split("=", 2) as [string, string | undefined];
    if (knownFlags.includes(name) && inline === undefined) {
      flags.add(name);
      continue;
    }
    if (!Object.hasOwn(numbers, name)) {
      throw new TypeError(`Reading ${args[index]}: there is no such argument`);
    }
    const value = inline ?? args[++index] ?? "";
    if (!/^\d{1,10}$/.test(value)) throw new TypeError(`Reading ${name}: ${value} is no number`);
    numbers[name as keyof typeof numbers] = Number(value);
  }
  return { deliveries: numbers["--deliveries"], seed: numbers["--seed"], flags };
}

function newSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}
