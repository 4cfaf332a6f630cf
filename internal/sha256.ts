/** Digests of texts. */

import { builtinModule } from "./builtin_module.ts";
import { encodeBase64 } from "./base64.ts";

/** What is used of `node:crypto`; Node.js has `hash` from 20.12 on. */
interface NodeCrypto {
  hash?(algorithm: "sha256", text: string, encoding: "base64"): string;
  createHash(algorithm: "sha256"): {
    update(text: string, encoding: "utf8"): { digest(encoding: "base64"): string };
  };
}

/**
 * SHA-256 (FIPS 180-4) of a text as UTF-8, in base64. Web Crypto hands short texts to another thread, which takes ten
 * times as long as `node:crypto`, so that is used where the runtime has it. Both give the same digest.
 */
export async function sha256(text: string): Promise<string> {
  const node = builtinModule<NodeCrypto>("node:crypto");
  if (node !== undefined) {
    return node.hash?.("sha256", text, "base64") ??
      node.createHash("sha256").update(text, "utf8").digest("base64");
  }
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return encodeBase64(new Uint8Array(digest));
}
