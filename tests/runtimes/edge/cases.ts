/**
 * The cases that run at every edge.
 *
 * @module
 */
import { imported, touchedByImports, trapped } from "./imported.ts";
import { assert, assertEquals } from "@std/assert";
import { encryption } from "../../conformance/encryption.ts";
import { type Exchanged, readExchanged, writeExchanged } from "../../conformance/exchange.ts";
import { platform } from "../../conformance/platform.ts";
import type { BoundCase } from "../../conformance/report.ts";
import { webhooks } from "../../conformance/webhooks.ts";

/** What a host asks of the runtime. */
export interface EdgeJob {
  /** Name of the runtime, as writer of values. */
  writer: string;
  /** Whether the runtime has to have a scrypt of its own. */
  nativeScrypt: boolean;
  /** Values of all runtimes. */
  read?: Record<string, Exchanged>;
}

/** Values for the other runtimes; there once the case that writes them has run. */
export const written: { values?: Exchanged } = {};

export function edgeCases(job: EdgeJob): BoundCase[] {
  const exchange: BoundCase[] = [{
    name: "exchange: writes for the others",
    async run() {
      written.values = await writeExchanged(job.writer);
    },
  }];
  const { read } = job;
  if (read !== undefined) {
    return [{
      name: "exchange: reads what all wrote",
      async run() {
        assert(await readExchanged(read) >= 3);
      },
    }];
  }
  return [
    {
      name: "imports: every subpath, without randomness, timers, environment or derivation",
      run() {
        assert(Object.keys(imported).length >= 5);
        for (const [name, names] of Object.entries(imported)) assert(names.length > 0, name);
        assert(trapped);
        assertEquals(touchedByImports, []);
        return Promise.resolve();
      },
    },
    {
      name: job.nativeScrypt
        ? "platform: has a scrypt of its own"
        : "platform: has no scrypt of its own",
      run() {
        assertEquals(platform.nativeScrypt, job.nativeScrypt);
        return Promise.resolve();
      },
    },
    ...Object.entries({ encryption, webhooks }).flatMap(([suite, cases]) =>
      cases.map(({ name, run }) => ({ name: `${suite}: ${name}`, run: () => run(platform) }))
    ),
    ...exchange,
  ];
}
