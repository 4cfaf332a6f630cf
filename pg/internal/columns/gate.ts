/**
 * The gate, which takes the place of a built statement in the expression that Drizzle receives. The
 * dialect opens it where statements belong. Anywhere else in an expression, where its ciphertext
 * would be compared or returned, the gate stays closed and refuses to be written.
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
  private constructor(
    readonly scope: Scope,
    readonly statement: SQL,
    readonly fields: readonly Field[],
    readonly isOpen = false,
  ) {}

  /** An encrypted column among the fields. */
  get column(): Column | undefined {
    return encryptedColumnIn(this.fields);
  }

  /** A statement with its selected fields behind a closed gate, as an expression for Drizzle. */
  static closed(scope: Scope, statement: SQL, fields: Gate["fields"] = []): SQL {
    return new SQL([new Gate(scope, statement, fields) as never]);
  }

  /** The gate, if an expression consists of one. */
  static of({ queryChunks }: SQL): Gate | undefined {
    const only: unknown = queryChunks[0];
    return only instanceof Gate && queryChunks.length === 1 ? only : undefined;
  }

  /** The same expression with an open gate, if it selects encrypted columns. */
  static open(expression: SQL): SQL {
    const gate = Gate.of(expression);
    if (!gate?.column || gate.isOpen) return expression;
    return withChunks(expression, [new Gate(gate.scope, gate.statement, gate.fields, true)]);
  }

  /** The statement. Drizzle calls this to write it, and to find its tables. */
  getSQL(): SQL {
    const whole = writing();
    const column = !whole || whole.isFree || this.isOpen ? undefined : this.column;
    if (column) refuseUse(column, "has a subquery that selects");
    if (whole) (whole.written ??= []).push(this.scope);
    return this.statement;
  }

  shouldOmitSQLParens(): boolean {
    return true;
  }
}
