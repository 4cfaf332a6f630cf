/**
 * This package's predecessor, for tests of interoperability. Not in deno.json, because it needs an
 * older drizzle-orm, about which Deno would warn at every command.
 */

export {
  buildEncryptedTextColumn,
  buildEncryptionKey,
} from "npm:@weissaufschwarz/mitthooks-drizzle@0.1.0/encryption";
export { PgExtensionStorage } from "npm:@weissaufschwarz/mitthooks-drizzle@0.1.0/index";
export {
  buildExtensionInstanceTable,
  context,
} from "npm:@weissaufschwarz/mitthooks-drizzle@0.1.0/schema";
