/** The gate: it stands before every statement that our dialect has built. */

import { type Column, SQL } from "drizzle-orm";
import { refuseUse, writing } from "./encrypted_column.ts";
import { encryptedColumnIn, type Scope } from "./names.ts";
import { type Field, fieldsOf, type Selection } from "./parts.ts";

/** A copy of an expression with other chunks. */
export function withChunks(expression: SQL, chunks: readonly unknown[]): SQL {
  const { decoder, shouldInlineParams } = expression as unknown as Record<string, unknown>;
  return Object.assign(new SQL(chunks as never), { decoder, shouldInlineParams });
}

/**
 * Stands for a built statement in the one expression that is handed to Drizzle. At places that are made for
 * statements our dialect opens it. Whoever puts it into an expression, where the ciphertext that it selects would
 * be compared or handed out, writes the closed gate.
 */
export class Gate {
  private constructor(
    readonly scope: Scope,
    readonly statement: SQL,
    readonly selection: Selection,
    readonly isOpen = false,
  ) {}

  /** A statement behind a gate, as Drizzle takes it. */
  static closed(scope: Scope, statement: SQL, selection: Selection): SQL {
    return new SQL([new Gate(scope, statement, selection) as never]);
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
    return withChunks(expression, [new Gate(gate.scope, gate.statement, gate.selection, true)]);
  }

  /** What the statement selects. */
  get fields(): readonly Field[] {
    return fieldsOf(this.selection);
  }

  /** An encrypted column among that. */
  get column(): Column | undefined {
    return encryptedColumnIn(this.fields);
  }

  /** Refuses the statement as part of an expression. */
  assertHarmless(): void {
    const column = this.isOpen ? undefined : this.column;
    if (column) refuseUse(column, "has a subquery that selects");
  }

  /** The statement, for who writes the gate, or looks for the tables of the statement. */
  getSQL(): SQL {
    const whole = writing();
    if (whole?.refuse) this.assertHarmless();
    if (whole) (whole.written ??= []).push(this.scope);
    return this.statement;
  }

  shouldOmitSQLParens(): boolean {
    return true;
  }
}
