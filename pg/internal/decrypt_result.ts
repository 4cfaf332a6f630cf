/** Decrypts the sealed values in the result of a query. */

import { DecryptionError, InvalidCiphertextError } from "../../errors.ts";
import { readSealedValue, type Sealed } from "./sealed_value.ts";

/** How many values are decrypted at once: enough to keep every core busy, few enough to stay small. */
const CONCURRENCY = 256;

type Container = Record<string, unknown> | unknown[];

/** One sealed value of a result, and where it stands. */
interface Found {
  readonly container: Container;
  readonly property: string | number;
  readonly sealed: Sealed;
  /** Where the container stands: the way back up to the result itself. */
  readonly parent: Location | undefined;
}

interface Location {
  readonly parent: Location | undefined;
  readonly property: string | number;
}

/**
 * Replaces every sealed value in a result by what it decrypts to, in place.
 *
 * @param result What a query's mapping returned: rows, one row, or `undefined`.
 * @param limit At most this many sealed values can be in it; the search stops there.
 * @returns The very result.
 * @throws {DecryptionError} One of them cannot be decrypted; `path` tells which. The result is unchanged.
 */
export async function decryptResult<T>(result: T, limit: number): Promise<T> {
  if (limit === 0) return result;
  const found = [...take(findSealedValues(result), limit)];
  const plaintexts: string[] = [];
  for (let start = 0; start < found.length; start += CONCURRENCY) {
    const settled = await Promise.allSettled(
      found.slice(start, start + CONCURRENCY).map(decrypt),
    );
    // Of several failures the first in the result is reported, not the first in time.
    for (const outcome of settled) {
      if (outcome.status === "rejected") throw outcome.reason;
      plaintexts.push(outcome.value);
    }
  }
  for (const [index, { container, property }] of found.entries()) {
    (container as Record<string | number, unknown>)[property] = plaintexts[index];
  }
  return result;
}

async function decrypt({ sealed: { key, stored }, property, parent }: Found): Promise<string> {
  try {
    if (typeof stored !== "string") throw new InvalidCiphertextError();
    return await key.decrypt(stored);
  } catch (error) {
    if (!(error instanceof DecryptionError)) throw error;
    const path = formatPath({ parent, property });
    throw error instanceof InvalidCiphertextError
      ? new InvalidCiphertextError(path)
      : new DecryptionError(path);
  }
}

/** Walks arrays and plain objects, which is what Drizzle's mapping makes, without recursion. */
function* findSealedValues(result: unknown): Generator<Found> {
  if (!isContainer(result)) return;
  const visited = new Set<Container>([result]);
  const open: { container: Container; location: Location | undefined }[] = [
    { container: result, location: undefined },
  ];
  for (let next = open.pop(); next; next = open.pop()) {
    const { container, location } = next;
    const inner: typeof open = [];
    const entries = Array.isArray(container) ? container.entries() : Object.entries(container);
    for (const [property, value] of entries) {
      if (typeof value !== "object" || value === null) continue;
      const sealed = readSealedValue(value);
      if (sealed) {
        yield { container, property, sealed, parent: location };
      } else if (isContainer(value) && !visited.has(value)) {
        visited.add(value);
        inner.push({ container: value, location: { parent: location, property } });
      }
    }
    // Depth first, in order.
    for (let last = inner.pop(); last; last = inner.pop()) open.push(last);
  }
}

function isContainer(value: unknown): value is Container {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return true;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function formatPath({ parent, property }: Location): string {
  const steps: (string | number)[] = [property];
  for (let step = parent; step; step = step.parent) steps.unshift(step.property);
  return steps
    .map((step, index) => typeof step === "number" ? `[${step}]` : index > 0 ? `.${step}` : step)
    .join("");
}

function* take<T>(values: Iterable<T>, limit: number): Generator<T> {
  let taken = 0;
  for (const value of values) {
    yield value;
    if (++taken === limit) return;
  }
}
