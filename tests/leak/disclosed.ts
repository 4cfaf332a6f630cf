import { inspect } from "node:util";

/** Limit of inspected objects: a Drizzle database references its whole driver. */
const MAX_OBJECTS = 50_000;

/**
 * Everything visible of a value without a debugger: printed, as a string, as JSON, and all own
 * properties of all reachable objects, enumerable or not; for errors, also the accessors.
 */
export function disclosed(value: unknown): string {
  const shown = { depth: 6, showHidden: true, showProxy: true };
  const printed = [
    () => Deno.inspect(value, { ...shown, iterableLimit: Infinity, strAbbreviateSize: Infinity }),
    () => inspect(value, { ...shown, showProxy: false, maxArrayLength: Infinity }),
    () => String(value),
    () => JSON.stringify(value),
    () => JSON.stringify(structuredClone(value)),
  ];
  return [...printed.map(attempt), ...properties(value)].join("\n");
}

function* properties(start: unknown): Generator<string> {
  const seen = new Set<unknown>([globalThis]);
  const queue = [start];
  while (queue.length > 0 && seen.size < MAX_OBJECTS) {
    const value = queue.pop();
    if (typeof value === "string" || typeof value === "symbol") yield String(value);
    if ((typeof value !== "object" && typeof value !== "function") || value === null) continue;
    if (seen.has(value)) continue;
    seen.add(value);
    if (ArrayBuffer.isView(value)) {
      yield new TextDecoder().decode(value);
      continue;
    }
    // Its body is in an internal slot, here a hidden property that nothing prints.
    if (value instanceof Request) {
      queue.push(value.url, value.headers);
      continue;
    }
    if (value instanceof Map) queue.push(...value.keys(), ...value.values());
    if (value instanceof Set) queue.push(...value);
    if (value instanceof Headers) yield JSON.stringify([...value]);
    for (const key of Reflect.ownKeys(value)) {
      const { value: own, get } = Reflect.getOwnPropertyDescriptor(value, key) ?? {};
      queue.push(key, own);
      if (get && value instanceof Error) yield attempt(() => get.call(value));
    }
    if (value instanceof Error) yield* [value.name, value.message, String(value.stack)];
  }
}

function attempt(fn: () => unknown): string {
  try {
    return String(fn());
  } catch (error) {
    return `${error} ${error instanceof Error ? error.stack : ""}`;
  }
}
