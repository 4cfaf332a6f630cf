/** Runs an instance's life and checks the application's list. */
import assert from "node:assert/strict";
import { close, handleWebhook, listInstances, touch } from "./app.js";

const ids = process.env.INSTANCE_IDS!.split(",");
const id = ids.at(-1)!;

async function deliver(kind: string, more: Record<string, unknown>): Promise<void> {
    const url = "https://extension.example/webhooks";
    const response = await handleWebhook(
        new Request(url, {
            method: "POST",
            headers: {
                "X-Marketplace-Signature-Serial": "serial",
                "X-Marketplace-Signature-Algorithm": "Ed25519",
                "X-Marketplace-Signature": "signature",
            },
            body: JSON.stringify({
                apiVersion: "v1",
                kind,
                id,
                context: { id: "7a9d8971-09b0-4c39-8c64-546b6e1875ce", kind: "project" },
                meta: {
                    extensionId: process.env.EXTENSION_ID,
                    contributorId: "2e3cf3c4-9df5-4e26-8a27-a2ee7b3d4ec6",
                },
                request: {
                    id: "5d1b3e11-6a0f-4ef2-b0a3-2f7a2a6b3a52",
                    createdAt: new Date().toISOString(),
                    target: { method: "POST", url },
                },
                ...more,
            }),
        }),
    );
    assert.equal(response.status, 200, `${kind}: ${await response.text()}`);
}

const state = { enabled: true };
await deliver("ExtensionAddedToContext", { state, consentedScopes: ["a"], secret: "first secret" });
await deliver("InstanceUpdated", { state: { enabled: false }, consentedScopes: ["a", "b"] });
await deliver("SecretRotated", { secret: `secret of ${id}` });
await touch(id);
assert.deepEqual(
    await listInstances(),
    ids.map((id) => ({ id, scopes: ["a", "b"], active: true })),
);
await close();
