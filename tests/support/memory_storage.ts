/**
 * An extension storage that keeps its rows in memory: what mitthooks' interface asks for, and nothing of a database.
 *
 * @module
 */

import type {
  ExtensionStorage,
  ExtensionToBeAdded,
  ExtensionToBeUpdated,
} from "@weissaufschwarz/mitthooks/storage/extensionStorage";
import {
  type InstanceDetails,
  type Occurrence,
  UnknownExtensionInstanceError,
} from "../../webhooks/mod.ts";

/** What the webhook handler passes on beyond mitthooks' fields. */
export type More = Partial<InstanceDetails>;

/** One instance. */
export interface MemoryRow {
  id: string;
  contextId: string;
  context: "customer" | "project";
  active: boolean;
  variantKey: string | null;
  consentedScopes: string[];
  secret: string;
}

/** Behaves as `PgExtensionStorage` does. */
export class MemoryStorage implements ExtensionStorage {
  /** The rows by their id. */
  readonly rows: Map<string, MemoryRow> = new Map();
  /** How often each method was called. */
  readonly calls: Record<string, number> = {};

  /** The time that came with each call, if one did. */
  readonly occurrences: (Date | undefined)[] = [];

  /** The number of all calls. */
  get callCount(): number {
    return Object.values(this.calls).reduce((sum, count) => sum + count, 0);
  }

  upsertExtension(extension: ExtensionToBeAdded & More): Promise<void> {
    return this.#run("upsertExtension", extension, () => {
      const id = extension.extensionInstanceId;
      this.rows.set(id, {
        id,
        contextId: extension.contextId,
        context: extension.context ?? this.rows.get(id)?.context ?? "project",
        active: extension.enabled ?? true,
        variantKey: extension.variantKey ?? null,
        consentedScopes: [...extension.consentedScopes],
        secret: extension.secret,
      });
    });
  }

  updateExtension(extension: ExtensionToBeUpdated & More): Promise<void> {
    return this.#run("updateExtension", extension, () => {
      const row = this.#row("Updating an extension instance", extension.extensionInstanceId);
      row.contextId = extension.contextId;
      row.context = extension.context ?? row.context;
      row.active = extension.enabled;
      row.variantKey = extension.variantKey ?? null;
      row.consentedScopes = [...extension.consentedScopes];
    });
  }

  rotateSecret(
    extensionInstanceId: string,
    secret: string,
    occurrence?: Partial<Occurrence>,
  ): Promise<void> {
    return this.#run("rotateSecret", occurrence, () => {
      this.#row("Rotating the secret of an extension instance", extensionInstanceId).secret =
        secret;
    });
  }

  removeInstance(extensionInstanceId: string, occurrence?: Partial<Occurrence>): Promise<void> {
    return this.#run(
      "removeInstance",
      occurrence,
      () => void this.rows.delete(extensionInstanceId),
    );
  }

  getExtension(extensionInstanceId: string): Promise<MemoryRow | undefined> {
    return Promise.resolve(this.rows.get(extensionInstanceId));
  }

  async #run(
    method: string,
    occurrence: Partial<Occurrence> | undefined,
    action: () => void,
  ): Promise<void> {
    this.calls[method] = (this.calls[method] ?? 0) + 1;
    this.occurrences.push(occurrence?.occurredAt);
    // As with a database, the effect does not come within the call.
    await Promise.resolve();
    action();
  }

  #row(attempt: string, id: string): MemoryRow {
    const row = this.rows.get(id);
    if (row === undefined) throw new UnknownExtensionInstanceError(attempt, id);
    return row;
  }
}
