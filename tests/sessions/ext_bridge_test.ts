/** mittwald's helper for session tokens, from npm, against the simulated mStudio. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { toolProject } from "../../tools/npm/project.ts";
import { nodeProgram } from "../../tools/npm/programs.ts";
import { SimulatedMstudio } from "../../testing/mod.ts";
import { startProgram } from "../../tools/program.ts";

const PROGRAM = `
import { getAccessToken, verify } from "@mittwald/ext-bridge/node";
const [token, secret] = process.argv.slice(-2);
try {
  const verified = await verify(token);
  console.log(JSON.stringify({ verified }));
  console.log(JSON.stringify({ access: await getAccessToken(token, secret) }));
} catch (error) {
  console.log(error.code ?? error.name, error.response?.status ?? "");
}
`;

Deno.test("an unmodified @mittwald/ext-bridge/node verifies tokens, and gets access tokens for them", async () => {
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "my-extension",
    target: () => new Response(),
  });
  await using api = Deno.serve({ port: 0, onListen() {} }, mstudio.api);
  const cwd = await toolProject("ext-bridge", { "@mittwald/ext-bridge": "0.2.0-alpha.582" });
  const { path } = await nodeProgram(24);
  const run = async (token: string, secret: string) => {
    const args = ["--input-type=module", "--eval", PROGRAM, "--", token, secret];
    const env = { MW_EXT_API_URL: `http://localhost:${api.addr.port}` };
    const { code, stdout, stderr } = await startProgram(path, { args, cwd, env }).ended;
    assertEquals([code, stderr], [0, ""]);
    return stdout;
  };
  const instance = await mstudio.addInstance({
    context: { id: "c-1", kind: "customer" },
    consentedScopes: ["customer:read"],
    variantKey: "pro",
  });
  const token = await instance.sessionToken({ userId: "ada", sessionId: "tab-1" });
  const lines = (await run(token, mstudio.extensionSecret)).trim().split("\n");
  const { verified, access } = Object.assign({}, ...lines.map((line) => JSON.parse(line)));
  assertEquals(verified, {
    userId: "ada",
    sessionId: "tab-1",
    extensionId: "my-extension",
    extensionInstanceId: instance.id,
    contextId: "c-1",
    context: "customer",
    scopes: ["customer:read"],
    authenticatableWithoutSecret: false,
    publicKeySerial: verified.publicKeySerial,
    variantKey: "pro",
  });
  assertEquals(mstudio.sessionOfToken(access.publicToken), {
    userId: "ada",
    sessionId: "tab-1",
    extensionInstanceId: instance.id,
    scopes: ["customer:read"],
  });
  assertEquals(Math.abs(Date.parse(access.expiry) - Date.now() - 60_000) < 30_000, true);

  // As the README says, it does not check the token's extension.
  const foreign = await instance.sessionToken({ forge: { extensionId: "another" } });
  const taken = await run(foreign, mstudio.extensionSecret);
  assertStringIncludes(taken, '"extensionId":"another"');
  assertStringIncludes(taken, "ERR_BAD_REQUEST 400");

  const forged = await instance.sessionToken({ forge: true });
  const refused = await run(forged, mstudio.extensionSecret);
  assertStringIncludes(refused, "ERR_JWS_SIGNATURE_VERIFICATION_FAILED");
  assertStringIncludes(await run(token, "another"), "ERR_BAD_REQUEST 403");
});
