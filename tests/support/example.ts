/** Helpers for the tests of the examples. */

import { assertEquals } from "@std/assert";
import { buildEncryptionKey, type EncryptionKey } from "../../mod.ts";
import { SimulatedMstudio } from "../../testing/mod.ts";
import { query } from "../../tools/postgres/databases.ts";

/**
 * Simulates the mStudio that delivers to an example, and its API.
 *
 * @param url The example's address, once it listens.
 */
export async function simulateMstudio(url: () => string) {
  const mstudio = await SimulatedMstudio.create({
    extensionId: "my-extension",
    extensionSecret: "my-extension-secret",
    target: (request) => fetch(new Request(`${url()}/webhooks`, request)),
    maxAttempts: 1,
    newSecretRefusedMs: 0,
  });
  const asked: string[] = [];
  const api = Deno.serve({ port: 0, onListen() {} }, async (request) => {
    const response = await mstudio.api(request);
    const { pathname } = new URL(request.url);
    const id = /^\/v2\/extension-instances\/([^/]+)$/.exec(pathname)?.[1];
    if (id !== undefined && response.ok) {
      const token = request.headers.get("x-access-token") ?? "";
      asked.push(mstudio.instanceOfToken(token) ?? mstudio.sessionOfToken(token)?.userId ?? "");
    }
    return response;
  });
  return {
    mstudio,
    apiUrl: `http://localhost:${api.addr.port}`,
    /** Callers of mittwald's API: an instance, by id, or a user. */
    asked,
    async [Symbol.asyncDispose]() {
      await mstudio.close();
      await api.shutdown();
    },
  };
}

/** The key of an env file. */
export async function readKey(path: string): Promise<EncryptionKey> {
  const text = await Deno.readTextFile(path);
  const value = (name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(text)![1]!;
  return buildEncryptionKey(value("ENCRYPTION_MASTER_PASSWORD"), value("ENCRYPTION_SALT"));
}

/** Adds, changes and removes an instance, and checks its row after each step. */
export async function liveThrough(
  mstudio: SimulatedMstudio,
  databaseUrl: string,
  key: EncryptionKey,
): Promise<void> {
  const instance = await mstudio.addInstance({ context: { id: "c-1", kind: "customer" } });
  const row = async () =>
    (await query(databaseUrl, `SELECT * FROM extension_instance WHERE id = '${instance.id}'`))[0];
  const added = (await row())!;
  assertEquals([added["contextId"], added["context"]], ["c-1", "customer"]);
  assertEquals(await key.decrypt(String(added["secret"])), instance.secret);
  await instance.update({ enabled: false });
  assertEquals((await row())!["active"], false);
  await instance.rotateSecret();
  const before = (await row())!;
  assertEquals(await key.decrypt(String(before["secret"])), instance.secret);
  const forged = await mstudio.deliverOnce(instance.event("SecretRotated"), { forge: true });
  assertEquals([forged.status, (await forged.json()).code], [401, "ERR_SIGNATURE_INVALID"]);
  assertEquals(await row(), before);
  await instance.remove();
  assertEquals(await row(), undefined);
}
