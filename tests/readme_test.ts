/** The README's code runs: its blocks, put into the files that their first lines name, are one application. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import postgres from "postgres";
import { buildEncryptionKey, type EncryptionKey } from "../mod.ts";
import { SimulatedMstudio } from "../testing/mod.ts";
import { fromFileUrl } from "../scripts/lib/paths.ts";
import { createDatabase } from "./support/postgres.ts";
import { Project, readBlocks } from "./support/project.ts";

const fixture = (name: string) => fromFileUrl(new URL(`fixtures/${name}`, import.meta.url));
const PRELOAD = `--preload=${fixture("redirect_mittwald_api.ts")}`;

const blocks = await readBlocks("README.md");
const files = Object.fromEntries(
  blocks.filter(({ language }) => language === "ts").map(({ code }) => {
    const name = /^\/\/ (\S+\.ts)\n/.exec(code)?.[1];
    assert(name, `A block of the README does not name its file: ${code.slice(0, 80)}`);
    return [name, code];
  }),
);
const shell = blocks.filter(({ language }) => language === "sh")
  .flatMap(({ code }) => code.trim().split("\n"));

Deno.test("README", async (t) => {
  await using database = await createDatabase();
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "my-extension",
    target: (request) => fetch(new Request(url, request)),
    maxAttempts: 1,
  });
  let url = "";
  await using api = Deno.serve({ port: 0, onListen() {} }, mstudio.api);
  await using project = await Project.create(files, {
    DATABASE_URL: database.url,
    ENCRYPTION_MASTER_PASSWORD: "master password",
    ENCRYPTION_SALT: "salt",
    EXTENSION_ID: "my-extension",
    MITTWALD_API_URL: `http://localhost:${api.addr.port}`,
    PORT: "0",
  });
  const key = buildEncryptionKey("master password", "salt");
  const sql = postgres(database.url, { max: 1 });
  const storedSecret = async (id: string) =>
    await key.decrypt(
      (await sql`select secret from extension_instance where id = ${id}`)[0]?.secret,
    );
  const count = async () => Number((await sql`select count(*) from extension_instance`)[0]?.count);

  await t.step("every block is typed correctly", async () => {
    const { code, output } = await project.deno("check", ".");
    assertEquals(code, 0, output);
  });

  await t.step("the drizzle-kit commands create the table", async () => {
    const commands = shell.filter((line) => line.includes("drizzle-kit"));
    assertEquals(commands.length, 2);
    for (const command of commands) {
      const { code, output } = await project.shell(command);
      assertEquals(code, 0, output);
    }
    assertEquals(await count(), 0);
  });

  await t.step("main.ts stores what mStudio delivers, and refuses what is forged", async () => {
    await using server = await project.serve("run", "-A", PRELOAD, "main.ts");
    url = server.url;
    const instance = await mstudio.addInstance({
      context: { id: "p-abc123", kind: "project" },
      secret: "a secret of 25 characters",
    });
    assertEquals(await storedSecret(instance.id), "a secret of 25 characters");
    const forged = await mstudio.deliverOnce(instance.event("SecretRotated"), { forge: true });
    assertEquals(forged.status, 401);
    assertEquals(await storedSecret(instance.id), "a secret of 25 characters");
    assertEquals((await server.stop()).output.includes("secret of"), false);
  });

  await t.step("read.ts reads it", async () => {
    const { code, output } = await project.deno("run", "-A", "read.ts");
    assertEquals([code, output], [0, "1 instances, the first secret has 25 characters\n"]);
  });

  await t.step("own_table.ts prints what its comments say", async () => {
    const { code, output } = await project.deno("run", "-A", "own_table.ts");
    assertEquals(code, 0, output);
    const lines = output.trim().split("\n");
    assertEquals(lines.length, 3, output);
    const said = [...files["own_table.ts"]!.matchAll(/\); \/\/ (.*)$/gm)].map(([, text]) => text!);
    assertEquals(said.length, 3);
    for (const [index, text] of said.entries()) {
      const pattern = text.split("…").map((part) => part.trim().replace(/[^\w\s]/g, "\\$&"));
      assertMatch(lines[index]!, new RegExp(`^${pattern.join(".*")}`));
    }
  });

  const emptyReport =
    "{ total: 0, scanned: 0, reencrypted: 0, unreadable: [], notWritten: [], aborted: false } " +
    "{ token: { current: 0, otherKey: 0, unreadable: 0, null: 0 } }";
  for (
    const [file, printed] of [
      ["keys.ts", "still readable"],
      ["custom_columns.ts", ""],
      ["reencryption.ts", emptyReport],
    ] as const
  ) {
    await t.step(`${file} runs`, async () => {
      const { code, output } = await project.deno("run", "-A", file);
      assertEquals([code, output.trim().replace(/\s+/g, " ")], [0, printed]);
    });
  }

  for (
    const [file, name, path, refusal] of [
      ["placement.ts", "POST", "/", 401],
      ["placement.ts", "default", "/", 401],
      ["placement.ts", "app", "/webhooks", 401],
      ["mitthooks.ts", "handle", "/", 400],
    ] as const
  ) {
    await t.step(`${name} of ${file} takes webhooks, and refuses what is forged`, async () => {
      const module = `file://${project.path}/${file}`;
      const args = ["run", "-A", PRELOAD, fixture("serve_handler.ts"), module, name];
      await using server = await project.serve(...args);
      url = `${server.url}${path}`;
      const before = await count();
      const instance = await mstudio.addInstance();
      assertEquals(await storedSecret(instance.id), instance.secret);
      const forged = await mstudio.deliverOnce(
        mstudio.event("ExtensionAddedToContext"),
        { forge: true },
      );
      await forged.body?.cancel();
      assertEquals([forged.status, await count()], [refusal, before + 1]);
    });
  }

  await t.step(
    "mitthooks 0.3.0 alone does not refuse forged webhooks, as the README says",
    async () => {
      const unprotected = files["mitthooks.ts"]!
        .replace(/^ *\.without.*\n/m, "").replace(/^ *\.withWebhookHandlerPrefix.*\n/m, "")
        // Its API client is no fetch: it gets the address as an option.
        .replace(
          /(\n *)\.build\(\)/,
          "$1.withMittwaldAPIURL(process.env.MITTWALD_API_URL!)$1.build()",
        );
      await Deno.writeTextFile(`${project.path}/unprotected.ts`, unprotected);
      const module = `file://${project.path}/unprotected.ts`;
      await using server = await project.serve(
        "run",
        "-A",
        fixture("serve_handler.ts"),
        module,
        "handle",
      );
      url = server.url;
      const event = mstudio.event("ExtensionAddedToContext", { secret: "forged" });
      const forged = await mstudio.deliverOnce(event, { forge: true });
      assertEquals(forged.status, 200, await forged.text() + server.output());
      assertEquals(await storedSecret(event.id), "forged");
    },
  );

  await t.step("the keys of each step of a change read what they are said to read", async () => {
    const module = await import(`file://${project.path}/rotating_key.ts`);
    const keys: EncryptionKey[] = [module.keyOfStep1, module.keyOfStep2, module.keyOfStep4];
    const values = await Promise.all(keys.map((key) => key.encrypt("secret")));
    const reads = await Promise.all(
      keys.map((key) =>
        Promise.all(values.map((value) => key.decrypt(value).then(() => true, () => false)))
      ),
    );
    assertEquals(reads, [[true, true, true], [true, true, true], [false, true, true]]);
  });

  await t.step("the operator's command", async () => {
    const commands = shell.filter((line) => line.startsWith("npx mitthooks-drizzle "));
    assertEquals(commands.length, 4);
    const cli = fromFileUrl(new URL("../cli.ts", import.meta.url));
    for (const command of commands) {
      const args = command.replace("npx mitthooks-drizzle", "").trim().split(/\s+/);
      const { code, output } = await project.deno("run", "-A", cli, ...args);
      assertEquals(code, 0, command + output);
    }
    assertMatch(
      await Deno.readTextFile(`${project.path}/.env`),
      /^ENCRYPTION_MASTER_PASSWORD=\S{44}\nENCRYPTION_SALT=\S{24}\n$/,
    );
  });

  await t.step("the tests that it shows pass", async () => {
    const tests = Object.keys(files).filter((name) => name.endsWith("_test.ts"));
    assertEquals(tests, ["webhooks_test.ts", "attacks_test.ts", "tokens_test.ts"]);
    const { code, output } = await project.deno("test", "-A", ...tests);
    assertEquals(code, 0, output);
    assertStringIncludes(output, "3 passed");
  });

  await sql.end();
});

Deno.test("README: every link to a heading or a file leads somewhere", async () => {
  const text = await Deno.readTextFile(new URL("../README.md", import.meta.url));
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    `#${heading!.toLowerCase().replace(/[^\w\s-]/g, "").trim().replace(/\s+/g, "-")}`
  );
  const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => link!);
  assert(links.length > 5);
  for (const link of links) {
    if (link.startsWith("#")) assert(headings.includes(link), link);
    else if (!link.startsWith("http")) {
      assert((await Deno.stat(new URL(`../${link}`, import.meta.url))).isFile, link);
    }
  }
});
