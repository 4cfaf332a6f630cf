/** Reads and repairs instances for `./recovery`, outside events. */

import { type SQL, sql } from "drizzle-orm";
import {
  DecryptionError,
  StaleEventError,
  UnknownExtensionInstanceError,
} from "../../../errors.ts";
import type { ExtensionInstanceTable } from "../../schema.ts";
import type { EncryptableDatabase } from "../../interfaces.ts";
import type {
  ComparedState,
  OpenedSecret,
  RecordedInstance,
  RecordedSecret,
  StorageRecovery,
} from "../../storage_recovery.ts";
import type { ColumnKey } from "../columns/column_key.ts";
import type { EventFence } from "./event_fence.ts";
import type { EventMoment } from "./event_moment.ts";
import { runStatement } from "./run_statement.ts";
import { type ResultRow, Statement, type Values } from "./statement.ts";

/** A time that precedes every event. */
const NEVER = new Date(0);

/** The part of a storage that recovery uses. */
export interface RecoveredStorage {
  /** The undecorated database. */
  readonly db: EncryptableDatabase;
  readonly table: ExtensionInstanceTable;
  readonly key: ColumnKey;
  readonly fence: EventFence | undefined;
  /** Stores a state or a secret like the method of that name. */
  store(
    operation: "upsertExtension" | "rotateSecret",
    moment: EventMoment,
    values: Readonly<Record<string, unknown>> & { readonly id: string },
    secret?: { readonly plaintext: string; readonly ciphertext: string },
  ): Promise<void>;
  remove(id: string): Promise<void>;
}

/** Implements {@linkcode StorageRecovery} for a storage. */
export class RecoveryAccess implements StorageRecovery {
  readonly #storage: RecoveredStorage;
  readonly #built = new Map<string, Statement>();

  constructor(storage: RecoveredStorage) {
    this.#storage = storage;
  }

  /** See {@linkcode StorageRecovery.list}. */
  async list(after: string | undefined, limit: number): Promise<RecordedSecret[]> {
    const { table } = this.#storage;
    const from = after === undefined ? sql`` : sql`
        where ${table.id} > ${this.#value("after")}`;
    const statement = this.#once(
      `list ${after === undefined}`,
      () =>
        sql`select ${table.id} as "id", ${table.secret} as "sealedSecret"
        from ${table}${from}
        order by ${table.id}
        limit cast(cast(${this.#value("limit")} as text) as integer)`,
    );
    const values = { limit: String(limit), ...after !== undefined && { after } };
    return [...await this.#run(statement, values) as readonly ResultRow[] & RecordedSecret[]];
  }

  /** See {@linkcode StorageRecovery.find}. */
  async find(ids: readonly string[]): Promise<RecordedInstance[]> {
    const { table } = this.#storage;
    const id = sql.raw(`"mitthooks_wanted"."id"`);
    const statement = this.#once("find", () =>
      sql`select ${this.#fields(id)}
        from json_array_elements_text(cast(cast(${this.#value("ids")} as text) as json))
          as "mitthooks_wanted" ("id")
        left join ${table} on ${table.id} = ${id}${this.#lastEvents(id)}
        order by ${id}`);
    return (await this.#run(statement, { ids: JSON.stringify(ids) })).map(toRecord);
  }

  /** See {@linkcode StorageRecovery.findDifferent}. */
  async findDifferent(
    instances: readonly { readonly id: string; readonly state: ComparedState }[],
  ): Promise<RecordedInstance[]> {
    const { table } = this.#storage;
    const wanted = (name: string) => sql.raw(`"mitthooks_wanted"."${name}"`);
    const statement = this.#once("find different", () =>
      sql`select ${this.#fields(wanted("id"))}
        from json_to_recordset(cast(cast(${this.#value("instances")} as text) as json))
          as "mitthooks_wanted" ("id" text, "contextId" text, "context" text, "active" boolean,
            "variantKey" text, "consentedScopes" text[])
        left join ${table} on ${table.id} = ${wanted("id")}${this.#lastEvents(wanted("id"))}
        where ${table.id} is null
          or (${table.contextId}, ${table.context}::text, ${table.active}, ${table.variantKey},
            ${table.consentedScopes})
          is distinct from (${wanted("contextId")}, ${wanted("context")}, ${wanted("active")},
            ${wanted("variantKey")}, ${wanted("consentedScopes")})`);
    const values = {
      instances: JSON.stringify(instances.map(({ id, state }) => ({ id, ...state }))),
    };
    return (await this.#run(statement, values)).map(toRecord);
  }

  /** See {@linkcode StorageRecovery.openSecret}. */
  openSecret({ sealedSecret }: RecordedSecret): OpenedSecret | Promise<OpenedSecret> {
    if (sealedSecret === null) return null;
    const opened = this.#storage.key.decrypt(sealedSecret);
    return typeof opened === "string" ? opened : opened.catch((error) => {
      if (error instanceof DecryptionError) return undefined;
      throw error;
    });
  }

  /** See {@linkcode StorageRecovery.adopt}. */
  async adopt(
    { id, version }: RecordedInstance,
    state: ComparedState,
    settledBefore: Date = NEVER,
  ): Promise<boolean> {
    const { consentedScopes, ...others } = state;
    const now = new Date();
    return await this.#tryWrite(() =>
      this.#storage.store("upsertExtension", asked(version, settledBefore), {
        id,
        ...others,
        consentedScopes: [...consentedScopes],
        createdAt: now,
        updatedAt: now,
      })
    );
  }

  /** See {@linkcode StorageRecovery.adoptSecret}. */
  async adoptSecret({ id, version }: RecordedInstance, secret: string): Promise<boolean> {
    const { key, store } = this.#storage;
    const ciphertext = await key.encrypt(key.storable(secret));
    const values = { id, secret: ciphertext, updatedAt: new Date() };
    return await this.#tryWrite(() =>
      store("rotateSecret", asked(version, NEVER), values, { plaintext: secret, ciphertext })
    );
  }

  /** See {@linkcode StorageRecovery.remove}. */
  async remove(id: string): Promise<void> {
    await this.#storage.remove(id);
  }

  /** Resolves to whether it was written. */
  async #tryWrite(write: () => Promise<void>): Promise<boolean> {
    try {
      await write();
      return true;
    } catch (error) {
      const isLate = error instanceof StaleEventError ||
        error instanceof UnknownExtensionInstanceError;
      if (!isLate) throw error;
      return false;
    }
  }

  /** The selected fields, as texts, which all drivers return alike. */
  #fields(id: SQL): SQL {
    const { table, fence } = this.#storage;
    return sql`${id} as "id",
        (${table.id} is not null)::text as "stored",
        ${table.contextId} as "contextId",
        ${table.context}::text as "context",
        ${table.active}::text as "active",
        ${table.variantKey} as "variantKey",
        array_to_json(${table.consentedScopes})::text as "consentedScopes",
        ${table.secret} as "sealedSecret",
        ${fence ? sql`${fence.removed()}::text` : sql`null`} as "removed",
        ${fence ? fence.version() : sql`null`} as "version"`;
  }

  #lastEvents(id: SQL): SQL {
    const { fence } = this.#storage;
    if (!fence) return sql``;
    return sql`
        left join ${fence.table} on ${fence.table.instanceId} = ${id}`;
  }

  #value(name: string): SQL {
    return sql`${sql.placeholder(name)}`;
  }

  #once(key: string, build: () => SQL): Statement {
    const statement = this.#built.get(key) ?? new Statement(this.#storage.db, build());
    this.#built.set(key, statement);
    return statement;
  }

  async #run(statement: Statement, values: Values): Promise<readonly ResultRow[]> {
    const { db } = this.#storage;
    return await runStatement("recovery", () => statement.run(db, values));
  }
}

/**
 * The moment of a state fetched from mStudio after `basis` was read. A fresh request id changes the
 * version.
 */
function asked(basis: string, at: Date): EventMoment {
  return { at, signed: "asked", requestIds: [crypto.randomUUID()], basis };
}

function toRecord(row: ResultRow): RecordedInstance {
  const text = (name: string) => row[name] as string;
  return {
    id: text("id"),
    state: row["stored"] !== "true" ? undefined : {
      contextId: text("contextId"),
      context: text("context") as ComparedState["context"],
      active: row["active"] === "true",
      variantKey: row["variantKey"] as string | null,
      consentedScopes: JSON.parse(text("consentedScopes")),
    },
    sealedSecret: row["sealedSecret"] as string | null,
    removed: row["removed"] === "true",
    version: row["version"] as string | null ?? "",
  };
}
