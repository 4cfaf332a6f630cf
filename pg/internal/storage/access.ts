/** Limits the use of a transaction in time. */

import type { EncryptableDatabase } from "../../interfaces.ts";
import { copyWith } from "../columns/copy_with.ts";

// Common to Drizzle's classes in all drivers and versions; not in Drizzle's public types.

type Method = (...args: unknown[]) => Promise<unknown>;

interface Query {
  readonly sql: string;
}

interface Transaction {
  readonly session: {
    prepareQuery(query: Query, ...rest: unknown[]): Record<string, unknown>;
  };
  readonly _: object;
  transaction(run: (tx: EncryptableDatabase) => unknown, ...rest: unknown[]): Promise<unknown>;
}

/** The methods of a prepared query that send it. */
const SENDING = ["execute", "all", "values"];

/** Permission to send statements in a transaction. It ends before the transaction does. */
export class Access {
  readonly #check: (statement: string) => void;
  #open = true;
  #underWay = 0;

  /** @param check Throws for statements that must not be sent. */
  constructor(check: (statement: string) => void = () => {}) {
    this.#check = check;
  }

  /** Whether statements are in flight. */
  get isBusy(): boolean {
    return this.#underWay > 0;
  }

  /** Ends the permission: further statements are refused. */
  end(): void {
    this.#open = false;
  }

  /** Wraps the transaction: every statement passes through its session. */
  lend(tx: EncryptableDatabase): EncryptableDatabase {
    const original = tx as unknown as Transaction;
    const session: Transaction["session"] = Object.create(original.session);
    session.prepareQuery = (query, ...rest) => {
      const prepared = original.session.prepareQuery(query, ...rest);
      for (const name of SENDING) {
        const send = prepared[name] as Method | undefined;
        if (!send) continue;
        const run = (call: () => Promise<unknown>) =>
          this.#run(() => {
            this.#check(query.sql);
            return call();
          });
        // `this`: Drizzle sets properties on objects that inherit from a prepared query.
        prepared[name] = function (this: unknown, ...values: unknown[]) {
          return run(() => send.apply(this, values));
        };
      }
      return prepared;
    };
    return copyWith(tx, {
      session,
      _: { ...original._, session },
      // A nested transaction gets its own session.
      transaction: (run: (tx: EncryptableDatabase) => unknown, ...rest: unknown[]) =>
        this.#run(() => original.transaction((inner) => run(this.lend(inner)), ...rest)),
    });
  }

  async #run<T>(send: () => Promise<T>): Promise<T> {
    if (!this.#open) {
      throw new TypeError(
        "Using the transaction of a handler: the handler has ended, await all statements in it",
      );
    }
    this.#underWay++;
    try {
      return await send();
    } finally {
      this.#underWay--;
    }
  }
}
