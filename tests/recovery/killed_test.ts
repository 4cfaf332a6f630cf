/**
 * Kills the repairing process at a random request: before it, after its answer, or a moment later,
 * with or without a running application. A restart always ends with equal sides. The number of
 * kills is an argument:
 * `TEST_LIMIT_MINUTES=60 deno task test tests/recovery/killed_test.ts -- 200`.
 */

import { assertEquals } from "@std/assert";
import type { SimulatedInstance } from "../../testing/mod.ts";
import { startProgram } from "../../tools/program.ts";
import { hurried, setUp, takes } from "./support.ts";

const KILLS = Number(Deno.args.find((argument) => /^\d+$/.test(argument)) ?? 8);

/** Instances per round. */
const INSTANCES = 12;

const random = (below: number) => Math.floor(Math.random() * below);
const pick = <T>(items: readonly T[]): T => items[random(items.length)]!;

type World = Awaited<ReturnType<typeof setUp>>;

/** A repair in a child process, which its API can kill. */
function startRepair(
  world: World,
  onRequest: (number: number, answer: () => Promise<Response>) => Promise<Response | undefined>,
) {
  let requests = 0;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const body = await request.bytes();
    const answer = () =>
      Promise.resolve(
        world.mstudio.api(
          new Request(request.url, {
            method: request.method,
            headers: request.headers,
            ...body.length > 0 && { body },
          }),
        ),
      );
    return await onRequest(++requests, answer) ?? await answer();
  });
  const program = startProgram(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      "--no-check",
      new URL("./repair_program.ts", import.meta.url).pathname,
      world.database.url,
      `http://127.0.0.1:${server.addr.port}`,
      world.mstudio.apiToken,
    ],
  });
  return {
    kill: () => program.kill("SIGKILL"),
    ended: program.ended.finally(() => server.shutdown()),
    requests: () => requests,
  };
}

/** Makes the table differ in every possible way. */
async function spoil(world: World, instances: SimulatedInstance[]): Promise<void> {
  world.serve(takes);
  while (instances.length < INSTANCES) {
    const [instance] = await world.addInstances(1) as [SimulatedInstance];
    instances.push(instance);
  }
  await instances.splice(random(instances.length), 1)[0]!.remove();
  await pick(instances).update({ enabled: false, variantKey: crypto.randomUUID() });
  await pick(instances).update({ enabled: true, consentedScopes: [crypto.randomUUID()] });
  await pick(instances).rotateSecret();
  await world.sql`DELETE FROM extension_instance WHERE id IN (${pick(instances).id}, ${
    pick(instances).id
  })`;
  await world.sql`UPDATE extension_instance SET secret = NULL WHERE id = ${pick(instances).id}`;
  await world.sql`DELETE FROM extension_instance_last_event WHERE instance_id = ${
    pick(instances).id
  }`;
}

async function assertEqual(world: World, what: string): Promise<void> {
  world.serve();
  // Deliveries that a killed repair has left.
  await hurried(50, async () => {
    const found = await world.compare({ checkSecrets: true });
    assertEquals(
      [found.equal, found.counts.stored],
      [true, found.counts.mstudio],
      `${what}: ${JSON.stringify(found)}`,
    );
  });
}

Deno.test(`repair: killed at ${KILLS} random points and restarted, it always ends equal`, async () => {
  await using world = await setUp();
  const instances: SimulatedInstance[] = [];
  let longest = 20;
  for (let round = 1; round <= KILLS; round++) {
    await spoil(world, instances);
    const isDown = random(2) === 0;
    const at = 1 + random(longest);
    const how = pick(["before", "after", "later"] as const);
    const what = `round ${round}: ${how} request ${at}, the application is ${
      isDown ? "down" : "up"
    }`;
    world.serve(isDown ? () => new Response(null, { status: 500 }) : undefined);
    let isKilled = false;
    const repair = startRepair(world, async (number, answer) => {
      if (number !== at) return;
      isKilled = true;
      const response = how === "before" ? new Response(null, { status: 500 }) : await answer();
      if (how === "later") setTimeout(() => repair.kill(), random(10));
      else repair.kill();
      return response;
    });
    const { code, stderr } = await repair.ended;
    if (!isKilled) assertEquals(code, 0, `${what}: ${stderr}`);
    longest = Math.max(longest, repair.requests());
    // Something changes before the restart; a missing instance cannot be updated.
    world.serve();
    await pick(instances).update({ variantKey: crypto.randomUUID() }).catch(() => {});
    world.serve(isDown ? () => new Response(null, { status: 500 }) : undefined);
    const again = await startRepair(world, () => Promise.resolve(undefined)).ended;
    assertEquals(again.code, 0, `${what}: ${again.stderr}`);
    const { failed, left } = JSON.parse(again.stdout);
    assertEquals([failed, left], [[], []], what);
    await assertEqual(world, what);
  }
});
