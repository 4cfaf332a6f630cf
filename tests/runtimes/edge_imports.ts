/** Imports every public module that runs at the edge, between the traps. */
import { endOfImports } from "./import_traps.ts";
import * as root from "../../mod.ts";
import * as encryption from "../../pg/encryption.ts";
import * as pg from "../../pg/mod.ts";
import * as recovery from "../../recovery/mod.ts";
import * as schema from "../../pg/schema.ts";
import * as sessions from "../../sessions/mod.ts";
import * as testing from "../../testing/mod.ts";
import * as tokens from "../../tokens/mod.ts";
import * as webhooks from "../../webhooks/mod.ts";

/** The modules by their subpaths. */
export const imported: Readonly<Record<string, object>> = {
  ".": root,
  "./pg": pg,
  "./pg/encryption": encryption,
  "./pg/schema": schema,
  "./recovery": recovery,
  "./sessions": sessions,
  "./testing": testing,
  "./tokens": tokens,
  "./webhooks": webhooks,
};

/** Accesses of the modules during their import, then `random`. */
export const touched: readonly string[] = endOfImports();
