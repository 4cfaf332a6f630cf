import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { APIPublicKeyProvider } from "@weissaufschwarz/mitthooks/verification/publicKeys";
import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
import { UnknownPublicKeyError } from "@wais/mitthooks-drizzle/webhooks";

function create(serial?: string): Promise<SimulatedMstudio> {
  return SimulatedMstudio.create({ extensionId: "e-1", target: () => new Response(), serial });
}

function get(mstudio: SimulatedMstudio, path: string, method = "GET"): Response {
  return mstudio.publicKeyEndpoint(new Request(`https://api.example${path}`, { method }));
}

Deno.test("the public key is 32 bytes, and another one for every simulator", async () => {
  await using one = await create();
  await using two = await create();
  assertEquals(atob(one.publicKey).length, 32);
  assertEquals(new Set([one.publicKey, two.publicKey]).size, 2);
  assertEquals(new Set([one.serial, two.serial]).size, 2);
});

Deno.test("the provider knows its serial and no other", async () => {
  await using mstudio = await create("serial-1");
  assertEquals(await mstudio.publicKeys.getPublicKey("serial-1"), mstudio.publicKey);
  for (const serial of ["", "serial-2", "SERIAL-1"]) {
    assertThrows(() => mstudio.publicKeys.getPublicKey(serial), UnknownPublicKeyError);
  }
});

Deno.test("the endpoint answers for its serial", async () => {
  await using mstudio = await create("ä/b ?c");
  const response = get(mstudio, `/v2/public-keys/${encodeURIComponent("ä/b ?c")}`);
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("Content-Type"), "application/json");
  assertEquals(await response.json(), { serial: "ä/b ?c", key: mstudio.publicKey });
});

Deno.test("the endpoint answers 404 for everything else, and 405 for what is no GET", async () => {
  await using mstudio = await create("serial-1");
  for (
    const path of [
      "/",
      "/v2/public-keys",
      "/v2/public-keys/",
      "/v2/public-keys/serial-2",
      "/v2/public-keys/serial-1/",
      "/v2/public-keys/%",
      "/v2/public-keys/%ff",
      "/x/v2/public-keys/serial-1",
    ]
  ) {
    assertEquals([path, get(mstudio, path).status], [path, 404]);
  }
  const response = get(mstudio, "/v2/public-keys/serial-1", "POST");
  assertEquals([response.status, response.headers.get("Allow")], [405, "GET"]);
});

Deno.test("mitthooks' own client reads the key from the endpoint", async () => {
  await using mstudio = await create();
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    mstudio.publicKeyEndpoint,
  );
  const client = APIPublicKeyProvider.newWithUnauthenticatedAPIClient(
    `http://127.0.0.1:${server.addr.port}`,
  );
  assertEquals(await client.getPublicKey(mstudio.serial), mstudio.publicKey);
  await assertRejects(() => Promise.resolve(client.getPublicKey("unknown")));
});
