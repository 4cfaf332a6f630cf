import { assert, assertEquals, assertThrows } from "@std/assert";
import { eq, getTableColumns } from "drizzle-orm";
import {
  boolean,
  getTableConfig,
  integer,
  PgDialect,
  pgSchema,
  pgTable,
  pgTableCreator,
  text,
  timestamp,
} from "drizzle-orm/pg-core";
import {
  buildExtensionInstanceTable,
  buildLastEventTable,
  context,
  type ExtensionInstanceTable,
} from "../mod.ts";
import { extensionInstances, lastEventDdl, lastEvents } from "./support/extension_instance.ts";
import { textUnderA } from "./suites/tables.ts";

/** What drizzle-kit's command generates from a schema file. */
async function exportDdl(schema: string): Promise<string> {
  const file = new URL(`fixtures/${schema}`, import.meta.url).pathname;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "npm:drizzle-kit", "export", "--dialect=postgresql", `--schema=${file}`],
    cwd: new URL("..", import.meta.url),
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  assert(success, decoder.decode(stderr));
  return decoder.decode(stdout);
}

Deno.test("drizzle-kit generates exactly the original's DDL", async () => {
  const [ours, original] = await Promise.all([
    exportDdl("schema_ours.ts"),
    exportDdl("schema_original.ts"),
  ]);
  assert(ours.includes(`CREATE TYPE "public"."context" AS ENUM('customer', 'project');`));
  assert(ours.includes('CREATE TABLE "extension_instance" ('));
  assertEquals(ours, original);
});

Deno.test("drizzle-kit generates the table of last events", async () => {
  assertEquals(
    (await exportDdl("schema_last_events.ts")).trim(),
    lastEventDdl.trim().replaceAll("  ", "\t"),
  );
});

Deno.test("tables in a schema, under another name, built by another function of Drizzle", () => {
  const ours = pgSchema("ours").table;
  const prefixed = pgTableCreator((name) => `app_${name}`);
  const placeOf = (table: Parameters<typeof getTableConfig>[0]) => {
    const { schema, name } = getTableConfig(table);
    return [schema, name];
  };
  const instance = (options: Parameters<typeof buildExtensionInstanceTable>[2]) =>
    buildExtensionInstanceTable(textUnderA, { note: text() }, options);
  assertEquals(placeOf(instance({ table: ours })), ["ours", "extension_instance"]);
  assertEquals(placeOf(instance({ table: ours, name: "it" })), ["ours", "it"]);
  assertEquals(placeOf(instance({ table: prefixed })), [undefined, "app_extension_instance"]);
  assertEquals(placeOf(instance({ name: "it" })), [undefined, "it"]);
  assertEquals(placeOf(buildLastEventTable({ table: ours })), [
    "ours",
    "extension_instance_last_event",
  ]);
  assertEquals(placeOf(buildLastEventTable({ name: "it" })), [undefined, "it"]);

  // The application's casing reaches the application's columns alone.
  const table = buildExtensionInstanceTable(textUnderA, { myNote: text() }, { table: ours });
  const dialect = new PgDialect({ casing: "snake_case" });
  const names = (columns: Record<string, { name: string }>) =>
    Object.values(columns).map((column) =>
      dialect.sqlToQuery((column as typeof table.id).getSQL()).sql.split(".").at(-1)
    );
  assertEquals(names(getTableColumns(table)), [
    '"id"',
    '"contextId"',
    '"context"',
    '"active"',
    '"variant_key"',
    '"consented_scopes"',
    '"secret"',
    '"createdAt"',
    '"updatedAt"',
    '"my_note"',
  ]);
  assertEquals(names(getTableColumns(lastEvents)), ['"instance_id"', '"kind"', '"created_at"']);
});

Deno.test("options of tables that make no sense are refused", () => {
  for (
    const options of [
      { tabel: pgTable },
      { name: "" },
      { name: 7 },
      { table: "ours" },
      { table: () => ({}) },
      null,
    ] as unknown as { name: string }[]
  ) {
    assertThrows(() => buildLastEventTable(options), TypeError);
    assertThrows(() => buildExtensionInstanceTable(textUnderA, {}, options), TypeError);
  }
});

Deno.test("the secret column's name in the database is the table's to choose", () => {
  const { token } = pgTable("t", { token: textUnderA("api_token") });
  assertEquals([token.name, token.getSQLType()], ["api_token", "text"]);
  assertEquals(getTableColumns(extensionInstances).secret.name, "secret");
  assertEquals(context.enumValues, ["customer", "project"]);
});

Deno.test("a custom column that could not be filled is refused, in types and at run time", () => {
  const attempt = "Building the extension instance table: custom column ";
  const refused: [string, () => unknown][] = [
    [
      '"note": it must be nullable or have a default',
      // @ts-expect-error: required
      () => buildExtensionInstanceTable(textUnderA, { note: text().notNull() }),
    ],
    [
      '"id": this column exists already',
      // @ts-expect-error: taken
      () => buildExtensionInstanceTable(textUnderA, { id: integer() }),
    ],
    [
      '"secret": this column exists already',
      // @ts-expect-error: taken
      () => buildExtensionInstanceTable(textUnderA, { fine: text(), secret: textUnderA() }),
    ],
    [
      '"key": its database name is taken by variantKey',
      () => buildExtensionInstanceTable(textUnderA, { key: text("variant_key") }),
    ],
    [
      '"b": its database name is taken by a',
      () => buildExtensionInstanceTable(textUnderA, { a: text("same"), b: text("same") }),
    ],
  ];
  for (const [message, build] of refused) {
    assertEquals(assertThrows(build, TypeError).message, attempt + message);
  }
});

Deno.test("custom columns that can be filled are accepted", () => {
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

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;
const proves = <TExpected extends true>(...proof: TExpected[]): number => proof.length;

interface Row {
  id: string;
  contextId: string;
  context: "customer" | "project";
  active: boolean;
  variantKey: string | null;
  consentedScopes: string[];
  secret: string | null;
  createdAt: Date;
  updatedAt: Date;
}
type Flat<T> = { [TKey in keyof T]: T[TKey] };

Deno.test("types: rows, inserts and custom columns, none of them any", () => {
  const table = buildExtensionInstanceTable(textUnderA, {
    customField: text("custom_field"),
    counter: integer().default(0),
    flag: boolean().notNull().default(false),
  });
  type Select = typeof table.$inferSelect;
  type Insert = typeof table.$inferInsert;
  const proofs = proves<true>(
    ...[true, true, true, true, true, true, true] satisfies [
      Equal<Flat<typeof extensionInstances.$inferSelect>, Flat<Row>>,
      Equal<
        Flat<Select>,
        Flat<Row & { customField: string | null; counter: number | null; flag: boolean }>
      >,
      Equal<Insert["counter"], number | null | undefined>,
      Equal<Insert["flag"], boolean | undefined>,
      Equal<Insert["secret"], string | null | undefined>,
      Equal<Insert["contextId"], string>,
      Equal<Pick<Insert, "id" | "active">, { id: string; active: boolean }>,
    ],
  );
  assertEquals(proofs, 7);
  // A table with more columns is one of those with fewer.
  const narrowed: ExtensionInstanceTable = table;
  assert(narrowed === table as unknown);
  // @ts-expect-error: a number is compared with a number
  assert(eq(table.counter, "1"));
  // @ts-expect-error: no such column
  assertEquals(table.missing, undefined);
  assert(eq(table.customField, "x"));
});
