/** A simulated mStudio for local development: it needs no tunnel, no account and no network. */

import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";

const target = Deno.env.get("WEBHOOK_URL") ?? "http://localhost:8000/webhooks";
await using mstudio = await SimulatedMstudio.create({
  extensionId: Deno.env.get("EXTENSION_ID") ?? "my-extension",
  target,
  maxAttempts: 5,
});

// What MITTWALD_API_URL of the application has to point to.
const port = Number(Deno.env.get("MSTUDIO_PORT") ?? 8001);
await using _api = Deno.serve({ port, onListen() {} }, mstudio.api);

const instance = await mstudio.addInstance({ context: { id: "p-local", kind: "project" } });
console.log(`added    ${instance.id}`);
await instance.update({ enabled: true, consentedScopes: ["project:read"] });
console.log(`updated  ${instance.id}`);
await instance.rotateSecret();
console.log(`rotated  ${instance.id}`);

const forged = await mstudio.deliverOnce(instance.event("SecretRotated"), { forge: true });
console.log(`forged   answered with ${forged.status}`);

if (Deno.args.includes("--remove")) {
  await instance.remove();
  console.log(`removed  ${instance.id}`);
}
