/** Everything that can be found out about a value without a debugger. */

import { inspect } from "node:util";

/** How many objects are looked at: a Drizzle database leads to the whole of its driver. */
const MAX_OBJECTS = 50_000;

/**
 * What a value shows: printed, as a string, as JSON, and all own properties of all that can be reached from it, whether
 * or not they are enumerable; of errors the accessors, too.
 */
export function disclosed(value: unknown): string {
  return [...printed(value), ...properties(value)].join("\n");
}

function* printed(value: unknown): Generator<string> {
  yield attempt(() =>
    Deno.inspect(value, {
      depth: 6,
      showHidden: true,
      showProxy: true,
      iterableLimit: Infinity,
      strAbbreviateSize: Infinity,
    })
  );
  yield attempt(() => inspect(value, { depth: 6, showHidden: true, maxArrayLength: Infinity }));
  yield attempt(() => String(value));
  yield attempt(() => JSON.stringify(value) ?? "");
  yield attempt(() => JSON.stringify(structuredClone(value)) ?? "");
}

function* properties(start: unknown): Generator<string> {
  const seen = new Set<unknown>([globalThis]);
  const queue: unknown[] = [start];
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
    // It holds its body in an internal slot, which is a hidden property here, and nothing prints it.
    if (value instanceof Request) {
      queue.push(value.url, value.headers);
      continue;
    }
    if (value instanceof Map) queue.push(...value.keys(), ...value.values());
    if (value instanceof Set) queue.push(...value);
    if (value instanceof Headers) yield JSON.stringify([...value]);
    for (const key of Reflect.ownKeys(value)) {
      const descriptor = Reflect.getOwnPropertyDescriptor(value, key);
      queue.push(key, descriptor?.value);
      if (descriptor?.get && value instanceof Error) {
        yield attempt(() => String(descriptor.get!.call(value)));
      }
    }
    if (value instanceof Error) yield* [value.name, value.message, String(value.stack)];
  }
}

/** What a function returns, or what is said instead. */
function attempt(fn: () => string): string {
  try {
    return fn();
  } catch (error) {
    return `${error} ${error instanceof Error ? error.stack : ""}`;
  }
}
