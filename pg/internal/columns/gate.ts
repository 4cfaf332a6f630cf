/**
 * The gate, which stands for a built statement in the one expression that is handed to Drizzle. Our dialect opens it at
 * places that are made for statements. Whoever puts it into an expression, where the ciphertext that it selects would be
 * compared or handed out, writes the closed gate.
 */

import { type Column, SQL } from "drizzle-orm";
import { refuseUse, writing } from "./encrypted_column.ts";
import { encryptedColumnIn, type Scope } from "./names.ts";
import type { Field } from "./parts.ts";

/** A copy of an expression with other chunks. */
export function withChunks(expression: SQL, chunks: readonly unknown[]): SQL {
  const { decoder, shouldInlineParams } = expression as unknown as Record<string, unknown>;
  return Object.assign(new SQL(chunks as never), { decoder, shouldInlineParams });
}

export class Gate {
  /** An encrypted column among the fields. */
  readonly column: Column | undefined;

  private constructor(
    readonly scope: Scope,
    readonly statement: SQL,
    readonly fields: readonly Field[],
    readonly isOpen = false,
  ) {
    this.column = encryptedColumnIn(fields);
  }

  /** A statement that selects fields, behind a gate, as Drizzle takes it. */
  static closed(scope: Scope, statement: SQL, fields: Gate["fields"] = []): SQL {
    return new SQL([new Gate(scope, statement, fields) as never]);
  }

  /** The gate that an expression consists of. */
  static of({ queryChunks }: SQL): Gate | undefined {
    const only: unknown = queryChunks[0];
    return only instanceof Gate && queryChunks.length === 1 ? only : undefined;
  }

  /** The same with its gate open, where it selects encrypted columns. */
  static open(expression: SQL): SQL {
    const gate = Gate.of(expression);
    if (!gate?.column || gate.isOpen) return expression;
    return withChunks(expression, [new Gate(gate.scope, gate.statement, gate.fields, true)]);
  }

  /** The statement, for who writes the gate, or looks for the tables of the statement. */
  getSQL(): SQL {
    const whole = writing();
    const column = !whole || whole.isFree || this.isOpen ? undefined : this.column;
    if (column) refuseUse(column, "has a subquery that selects");
    whole?.written?.push(this.scope);
    return this.statement;
  }

  shouldOmitSQLParens(): boolean {
    return true;
  }
}
