/** Runs the example as a program, and records its output. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { simulateMstudio } from "../support/example.ts";
import { createDatabase, query } from "../../tools/postgres/databases.ts";
import { Project, readFolder } from "../support/project.ts";
import type { WatchedPostgres } from "../support/watched_postgres.ts";
import { CANARIES, CONTROL, type Evidence } from "./evidence.ts";

const { secret, rotatedSecret, masterPassword, otherMasterPassword, salt } = CANARIES;

/** The life of an instance in the example, with every external failure. */
export async function runExample(evidence: Evidence, server: WatchedPostgres): Promise<void> {
  await using database = await createDatabase({ server: server.url });
  await using simulated = await simulateMstudio(() => running.url);
  const { mstudio, apiUrl } = simulated;
  await using project = await Project.create(await readFolder("examples/deno-deploy"), {
    DATABASE_URL: database.url,
    ENCRYPTION_MASTER_PASSWORD: masterPassword,
    ENCRYPTION_SALT: salt,
    EXTENSION_ID: "my-extension",
    MITTWALD_API_URL: apiUrl,
    PORT: "0",
  });
  const place = "output of the example";
  const refuses = async (it: Project) => {
    const { code, output } = await it.deno("task", "start");
    assert(code !== 0, output);
    evidence.add(place, output);
  };
  await refuses(project); // The tables are missing.
  const migrated = await project.shell("deno task db:migrate");
  assertEquals(migrated.code, 0, migrated.output);
  evidence.add(place, migrated.output);
  const running = await project.serve("task", "start");
  const answers: string[] = [];
  try {
    const instance = await mstudio.addInstance({ id: CONTROL, secret });
    await instance.rotateSecret(rotatedSecret);
    await instance.update({ enabled: false });
    const health = await fetch(`${running.url}/health`);
    answers.push(await health.text());
    assertEquals(health.status, 200);
    await refuses(project.withEnv({ ENCRYPTION_MASTER_PASSWORD: otherMasterPassword }));

    await query(
      database.url,
      "alter table extension_instance add check (variant_key <> 'refused')",
    );
    const rotated = instance.event("SecretRotated");
    const added = (fields: Parameters<typeof mstudio.event>[1]) =>
      mstudio.event("ExtensionAddedToContext", { secret, ...fields });
    for (
      const [event, options] of [
        [rotated, { forge: true }],
        [rotated, { tamper: true }],
        [rotated, { createdAt: new Date(0) }],
        [mstudio.event("SecretRotated", { secret }), {}],
        [added({ extensionId: "other" }), {}],
        [added({ context: { id: CONTROL, kind: "project" }, variantKey: "refused" }), {}],
      ] as const
    ) {
      const response = await mstudio.deliverOnce(event, options);
      answers.push(`${response.status} ${await response.text()}`);
    }
    assertStringIncludes(answers.at(-1)!, "ERR_STORAGE_FAILED");
    evidence.add("dump of the example's database", await server.dump(database.url));
  } finally {
    evidence.add(place, (await running.stop()).output);
  }
  evidence.add("answers of the example", CONTROL, ...answers);
}
