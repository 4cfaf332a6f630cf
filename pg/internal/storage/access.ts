/** Who may use a transaction, and how long. */

import type { EncryptableDatabase } from "../../interfaces.ts";
import { copyWith } from "../columns/copy_with.ts";

// What Drizzle's classes have in common across drivers and versions; none of it is in Drizzle's public types.

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

/** What sends a prepared query. */
const SENDING = ["execute", "all", "values"];

/** A right to send statements in a transaction, which ends before the transaction does. */
export class Access {
  readonly #check: (statement: string) => void;
  #open = true;
  #underWay = 0;

  /** @param check Throws on statements that are not sent. */
  constructor(check: (statement: string) => void = () => {}) {
    this.#check = check;
  }

  /** Whether statements are under way. */
  get isBusy(): boolean {
    return this.#underWay > 0;
  }

  /** From now on nothing is sent. */
  end(): void {
    this.#open = false;
  }

  /** The transaction for whom this right is meant: every statement goes through its session. */
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
        // Drizzle sets properties of what inherits from a prepared query, and reads them here.
        prepared[name] = function (this: unknown, ...values: unknown[]) {
          return run(() => send.apply(this, values));
        };
      }
      return prepared;
    };
    return copyWith(tx, {
      session,
      _: { ...original._, session },
      // A nested one gets a session of its own.
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
