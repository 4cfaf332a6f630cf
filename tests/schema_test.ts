/** The tables' columns, names and DDL; for their types see `tests/consumers/types`. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { getTableColumns } from "drizzle-orm";
import {
  getTableConfig,
  integer,
  PgDialect,
  pgSchema,
  pgTable,
  pgTableCreator,
  text,
  timestamp,
} from "drizzle-orm/pg-core";
import { buildExtensionInstanceTable, buildLastEventTable, context } from "../mod.ts";
import { extensionInstanceDdl, lastEventDdl, lastEvents } from "./support/extension_instance.ts";
import { startProgram } from "../tools/program.ts";
import { textUnderA } from "./suites/tables.ts";

/** The output of drizzle-kit's command for a schema file. */
async function exportDdl(schema: string): Promise<string> {
  const file = new URL(`fixtures/${schema}`, import.meta.url).pathname;
  const { code, stdout, stderr } = await startProgram(Deno.execPath(), {
    args: ["run", "-A", "npm:drizzle-kit", "export", "--dialect=postgresql", `--schema=${file}`],
    cwd: new URL("..", import.meta.url),
    env: { NO_COLOR: "1" },
  }).ended;
  assertEquals(code, 0, stderr);
  return stdout;
}

Deno.test("drizzle-kit generates the original's DDL, and the table of last events", async () => {
  const withoutSpace = (text: string) => text.replaceAll(/\s+/g, "");
  const ours = await exportDdl("schema_ours.ts");
  assertEquals(withoutSpace(ours), withoutSpace(extensionInstanceDdl + lastEventDdl));
  // On Deno 2.5, drizzle-kit hangs while loading the original's modules.
  if (Deno.version.deno.startsWith("2.5.")) return;
  assert(ours.startsWith((await exportDdl("schema_original.ts")).trimEnd()));
});

Deno.test("tables in a schema, with another name, or built by another function of Drizzle", () => {
  const ours = pgSchema("ours").table;
  const prefixed = pgTableCreator((name) => `app_${name}`);
  const instance = (options: Parameters<typeof buildExtensionInstanceTable>[2]) =>
    buildExtensionInstanceTable(textUnderA, { myNote: text() }, options);
  const places: [Parameters<typeof getTableConfig>[0], string | undefined, string][] = [
    [instance({ table: ours }), "ours", "extension_instance"],
    [instance({ table: ours, name: "it" }), "ours", "it"],
    [instance({ table: prefixed }), undefined, "app_extension_instance"],
    [instance({ name: "it" }), undefined, "it"],
    [buildLastEventTable({ table: ours }), "ours", "extension_instance_last_event"],
    [buildLastEventTable({ name: "it" }), undefined, "it"],
  ];
  for (const [table, ...place] of places) {
    const { schema, name } = getTableConfig(table);
    assertEquals([schema, name], place);
  }

  // The application's casing applies only to the application's columns.
  const dialect = new PgDialect({ casing: "snake_case" });
  const names = (table: Parameters<typeof getTableConfig>[0]) =>
    getTableConfig(table).columns.map((column) =>
      dialect.sqlToQuery(column.getSQL()).sql.split('"').at(-2)
    ).join(" ");
  assertEquals(
    names(instance({ table: ours })),
    "id contextId context active variant_key consented_scopes secret createdAt updatedAt my_note",
  );
  assertEquals(names(lastEvents), "instance_id kind created_at request_ids called_at");
  const { token } = pgTable("t", { token: textUnderA("api_token") });
  assertEquals([token.name, token.getSQLType()], ["api_token", "text"]);
  assertEquals(context.enumValues, ["customer", "project"]);
});

Deno.test("invalid options of tables are refused", () => {
  const refused: unknown[] = [
    { tabel: pgTable },
    { name: "" },
    { name: 7 },
    { table: "ours" },
    null,
  ];
  for (const options of [...refused, { table: () => ({}) }] as { name: string }[]) {
    assertThrows(() => buildLastEventTable(options), TypeError);
    assertThrows(() => buildExtensionInstanceTable(textUnderA, {}, options), TypeError);
  }
});

Deno.test("custom columns: only columns that can be filled are accepted", () => {
  const refused: [Record<string, unknown>, string][] = [
    [{ note: text().notNull() }, '"note": it must be nullable or have a default'],
    [{ id: integer() }, '"id": this column exists already'],
    [{ fine: text(), secret: textUnderA() }, '"secret": this column exists already'],
    [{ key: text("variant_key") }, '"key": its database name is taken by variantKey'],
    [{ a: text("same"), b: text("same") }, '"b": its database name is taken by a'],
  ];
  for (const [columns, message] of refused) {
    const error = assertThrows(
      () => buildExtensionInstanceTable(textUnderA, columns as never),
      TypeError,
    );
    const attempt = "Building the extension instance table: custom column ";
    assertEquals(error.message, attempt + message);
  }
  const table = buildExtensionInstanceTable(textUnderA, {
    nullable: text(),
    withDefault: integer().notNull().default(0),
    withFunction: text().notNull().$default(() => "x"),
    withUpdate: timestamp().notNull().$onUpdate(() => new Date()),
    identity: integer().generatedAlwaysAsIdentity(),
    generated: text().notNull().generatedAlwaysAs("x"),
    encrypted: textUnderA("encrypted_note"),
  });
  assertEquals(Object.keys(getTableColumns(table)).length, 16);
});
