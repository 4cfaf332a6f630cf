/**
 * No secret appears in readable places: in the output of programs, errors, inspected objects,
 * traces, PostgreSQL's log, or a dump. Public values do appear in the same places, which shows that
 * the search covers them.
 */
import { assertEquals, assertGreater } from "@std/assert";
import { loseDatabase, useDatabase } from "./leak/database.ts";
import { disclosed } from "./leak/disclosed.ts";
import { CANARIES, CONTROL, createCanary, Evidence, findCanary } from "./leak/evidence.ts";
import { runExample } from "./leak/programs.ts";
import { ConsoleRecorder, SpanRecorder } from "./leak/recorders.ts";
import { checkSessions } from "./leak/sessions.ts";
import { exchangeTokens, failDeliveries } from "./leak/webhooks.ts";
import { createDatabase } from "../tools/postgres/databases.ts";
import { startWatchedPostgres } from "./support/watched_postgres.ts";

Deno.test("leaks: secrets, master passwords and salts show up nowhere, whatever goes wrong", async (t) => {
  await using server = await startWatchedPostgres();
  await using database = await createDatabase({ server: server.url });
  const evidence = new Evidence();

  await t.step(
    "storage, queries, handlers, keys, webhooks, tokens and sessions run and fail",
    async () => {
      using printed = new ConsoleRecorder();
      using recorder = new SpanRecorder();
      await useDatabase(evidence, database.url);
      await exchangeTokens(evidence);
      await failDeliveries(evidence);
      await checkSessions(evidence);
      evidence.add("output of this process", ...printed.texts);
      evidence.add("Drizzle's spans", ...recorder.spans);
    },
  );
  await t.step("the example runs and fails", () => runExample(evidence, server));
  await t.step("PostgreSQL stops", async () => {
    evidence.add("PostgreSQL's log", await server.log());
    evidence.add("dump of the database", await server.dump(database.url));
    await server.stop();
    await loseDatabase(evidence, database.url);
    await server.start();
  });

  await t.step("every error code came up", async () => {
    const errors = await Deno.readTextFile(new URL("../errors.ts", import.meta.url));
    const codes = errors.match(/(?<=")ERR_[A-Z_]+(?=")/g)!;
    assertEquals(codes.filter((code) => !evidence.codes.has(code)), []);
  });
  await t.step("every place shows public values", () => {
    const seen = evidence.leaks({ control: CONTROL }).map((leak) => leak.split(":")[0]);
    assertEquals(
      evidence.places.filter((place) => !seen.includes(place)),
      ["webhook handler's answers", "answers to pages"], // written only by this library
    );
    assertGreater(evidence.places.length, 10);
  });
  await t.step("no place shows a secret", () => {
    assertEquals(evidence.leaks(), []);
  });
});

Deno.test("leaks: a canary is found in every form, in every corner of a value, and in its place", () => {
  const canary = createCanary("canary");
  const bytes = new TextEncoder().encode(`..${canary}`);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const forms = {
    "as it is": `x${canary.slice(-26)}…`,
    "hexadecimal": `\\x${hex.toUpperCase()}`,
    "base64": btoa(`..${canary}`),
    "decimal bytes": Deno.inspect(bytes, { iterableLimit: Infinity }),
  };
  for (const [form, text] of Object.entries(forms)) {
    assertEquals(findCanary(text, canary), form);
    assertEquals(findCanary(text, createCanary("x")), undefined);
  }

  const hidden = Object.defineProperty(new Error("no"), "detail", { value: canary });
  const corners = [
    hidden,
    new Error("no", { cause: { cause: hidden } }),
    new AggregateError([new Error(canary)], "no"),
    new Map([[{}, [canary]]]),
    { toJSON: () => canary },
    { [Symbol(canary)]: 1 },
    new TextEncoder().encode(canary),
    Object.assign(() => {}, { canary }),
  ];
  for (const corner of corners) assertEquals(findCanary(disclosed(corner), canary), "as it is");

  const evidence = new Evidence();
  evidence.add("a log", "nothing", `key ${CANARIES.masterPassword.slice(-20)}`);
  evidence.addError(new Error("Storing: failed", { cause: new Error(CANARIES.secret) }));
  assertEquals(evidence.leaks(), ["a log: masterPassword, as it is", "errors: secret, as it is"]);
});
