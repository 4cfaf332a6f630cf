/** An extension storage in memory that implements mitthooks' interface. */

import type { ExtensionInstanceTable } from "../../pg/mod.ts";
import {
  type EventTime,
  type ExtensionStorage,
  type ExtensionToBeAdded,
  type ExtensionToBeUpdated,
  type InstanceDetails,
  UnknownExtensionInstanceError,
} from "../../webhooks/mod.ts";

/** The fields that the webhook handler passes in addition to mitthooks'. */
type Details = Partial<InstanceDetails>;
type Times = { readonly [Name in keyof EventTime]?: EventTime[Name] | undefined };

export type MemoryRow = Omit<ExtensionInstanceTable["$inferSelect"], "createdAt" | "updatedAt">;

/** Behaves like `PgExtensionStorage`. */
export class MemoryStorage implements ExtensionStorage {
  readonly rows: Map<string, MemoryRow> = new Map();
  readonly calls: Record<string, number> = {};
  /** The event's time of each call. */
  readonly occurrences: Times[] = [];

  get callCount(): number {
    return Object.values(this.calls).reduce((sum, count) => sum + count, 0);
  }

  async upsertExtension(extension: ExtensionToBeAdded & Details): Promise<void> {
    await this.#count("upsertExtension", extension);
    const { extensionInstanceId: id, enabled = true, secret } = extension;
    const context = this.rows.get(id)?.context ?? "project";
    this.rows.set(id, { id, context, ...stateOf({ ...extension, enabled }), secret });
  }

  async updateExtension(extension: ExtensionToBeUpdated & Details): Promise<void> {
    await this.#count("updateExtension", extension);
    const row = this.#row("Updating an extension instance", extension.extensionInstanceId);
    Object.assign(row, stateOf(extension));
  }

  async rotateSecret(id: string, secret: string, occurrence?: Times): Promise<void> {
    await this.#count("rotateSecret", occurrence);
    this.#row("Rotating the secret of an extension instance", id).secret = secret;
  }

  async removeInstance(id: string, occurrence?: Times): Promise<void> {
    await this.#count("removeInstance", occurrence);
    this.rows.delete(id);
  }

  getExtension(id: string): Promise<MemoryRow | undefined> {
    return Promise.resolve(this.rows.get(id));
  }

  getInstance(id: string): Promise<Omit<MemoryRow, "secret"> | undefined> {
    const { secret: _, ...instance } = this.rows.get(id) ?? {};
    return Promise.resolve("id" in instance ? instance as MemoryRow : undefined);
  }

  /** As with a database, the effect comes after the call. */
  async #count(method: string, { occurredAt, requestId }: Times = {}): Promise<void> {
    this.calls[method] = (this.calls[method] ?? 0) + 1;
    this.occurrences.push({ occurredAt, requestId });
    await Promise.resolve();
  }

  #row(attempt: string, id: string): MemoryRow {
    const row = this.rows.get(id);
    if (row === undefined) throw new UnknownExtensionInstanceError(attempt, id);
    return row;
  }
}

function stateOf(
  { contextId, context, enabled, variantKey, consentedScopes }: Details & ExtensionToBeUpdated,
) {
  return {
    contextId,
    ...context && { context },
    active: enabled,
    variantKey: variantKey ?? null,
    consentedScopes: [...consentedScopes],
  };
}
