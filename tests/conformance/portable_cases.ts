/**
 * What every runtime runs, a database or not.
 *
 * @module
 */
import { encryption } from "./encryption.ts";
import { type InteropValues, readsInterop, writesInterop } from "./interop.ts";
import type { BoundCase } from "./tap.ts";
import { webhooks } from "./webhooks.ts";

/** What a runner is to do. */
export interface PortableJob {
  /** Name of the target, as writer of values. */
  readonly writer: string;
  /** Whether the runtime has to have a scrypt of its own. */
  readonly nativeScrypt: boolean;
  /** What all targets wrote: then it is read, and nothing else runs. */
  readonly read?: Readonly<Record<string, InteropValues>>;
}

export function portableCases({ writer, nativeScrypt, read }: PortableJob): BoundCase[] {
  if (read !== undefined) return [readsInterop(read)];
  return [
    ...encryption(nativeScrypt).map(({ name, run }) => ({ name: `encryption: ${name}`, run })),
    ...webhooks.map(({ name, run }) => ({ name: `webhooks: ${name}`, run })),
    writesInterop(writer),
  ];
}
