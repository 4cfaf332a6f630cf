/**
 * The npm package that this one continues, for tests of interoperability. It is not among the imports of
 * deno.json because it asks for an older drizzle-orm, which Deno would warn about at every command.
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
