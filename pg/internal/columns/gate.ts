/** Statements that our dialect has built. */

import { SQL } from "drizzle-orm";
import { describeColumn, MEANS_NOTHING, refuse, writing } from "./encrypted_column.ts";

/** A copy of an expression with other chunks. */
export function withChunks(expression: SQL, chunks: unknown[]): SQL {
  const { decoder, shouldInlineParams } = expression as unknown as Record<string, unknown>;
  return Object.assign(new SQL(chunks as never), { decoder, shouldInlineParams });
}

/**
 * Stands for a built statement in the one expression that is handed to Drizzle. At places that are made for
 * statements our dialect takes what is behind it. Whoever puts it into an expression, where the ciphertext that
 * it selects would be compared or handed out, writes the gate.
 */
export class Gate {
  readonly #statement: SQL;
  readonly #selected: () => readonly object[];

  private constructor(readonly verb: string, statement: SQL, selected: () => readonly object[]) {
    this.#statement = statement;
    this.#selected = selected;
  }

  /** A statement behind a gate, as Drizzle takes it. */
  static closed(verb: string, statement: SQL, selected: () => readonly object[]): SQL {
    return new SQL([new Gate(verb, statement, selected) as never]);
  }

  /** The gate that an expression consists of. */
  static of({ queryChunks: [only, ...others] }: SQL): Gate | undefined {
    const chunk: unknown = only;
    return chunk instanceof Gate && others.length === 0 ? chunk : undefined;
  }

  /** The statement without the gate. */
  static open(statement: SQL): SQL {
    const gate = Gate.of(statement);
    return gate ? withChunks(statement, [gate.#statement]) : statement;
  }

  /** The encrypted columns that the statement selects. */
  get columns(): readonly object[] {
    return this.#selected();
  }

  // What Drizzle asks for where it writes a gate, or looks for the tables of a statement.

  getSQL(): SQL {
    const { raw = false } = writing() ?? { raw: true };
    const [column] = raw ? [] : this.columns;
    if (!column) return this.#statement;
    return refuse(`has a subquery that selects ${describeColumn(column)}, ${MEANS_NOTHING}`);
  }

  shouldOmitSQLParens(): boolean {
    return true;
  }
}
