/** Transactions of a wrapped database, and other databases that it creates. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { withEncryption } from "../../pg/mod.ts";
import { type AnyDatabase, suite } from "./suite.ts";
import { assertStored, open, people } from "./tables.ts";

class Abort extends Error {}

type Parts = Record<PropertyKey, unknown>;

const insert = (db: AnyDatabase, id: number, phone: string) =>
  db.insert(people).values({ id, name: "", phone });
const phones = async (db: AnyDatabase) =>
  (await db.select().from(people).orderBy(people.id)).map(({ phone }) => phone);

const { cases, test } = suite(open);
export { cases as transactions };

test("nested twice, each level committed", async ({ db, context }) => {
  const found = await db.transaction(async (tx) => {
    await insert(tx, 1, "outer");
    await tx.transaction(async (middle) => {
      await insert(middle, 2, "middle");
      await middle.transaction(async (inner) => void await insert(inner, 3, "inner"));
    });
    return await phones(tx);
  }, { isolationLevel: "serializable" });
  assertEquals(found, ["outer", "middle", "inner"]);
  await assertStored(context, "SELECT phone FROM person WHERE id = 3", "inner");
});

test("rollback of the inner levels keeps the outer one", async ({ db, context }) => {
  await db.transaction(async (tx) => {
    await insert(tx, 1, "outer");
    const middle = tx.transaction(async (middle) => {
      await middle.update(people).set({ phone: "middle" });
      const inner = middle.transaction(async (inner) => {
        await inner.update(people).set({ phone: "inner" });
        assertEquals(await phones(inner), ["inner"]);
        throw new Abort();
      });
      await assertRejects(() => inner, Abort);
      assertEquals(await phones(middle), ["middle"]);
      middle.rollback();
    });
    await assertRejects(() => middle);
    assertEquals(await phones(tx), ["outer"]);
  });
  await assertStored(context, "SELECT phone FROM person", "outer");
});

test("a transaction can be wrapped by itself", async ({ plain, context }) => {
  await plain.transaction(async (tx) => {
    await insert(withEncryption(tx), 1, "555");
    await withEncryption(tx).transaction(async (inner) => {
      assertEquals(await phones(inner), ["555"]);
    });
  });
  await assertStored(context, "SELECT phone FROM person", "555");
});

const IN_FRONT = "an object in front of it, such as a Proxy, answers for its";

const bound = (of: Parts, name: PropertyKey) => {
  const value = of[name];
  return typeof value === "function" ? value.bind(of) : value;
};

/** Proxies that redirect to the current transaction, if there is one. */
const inFront = {
  "all of it": (db, tx) => ({ get: (_, name) => (tx() ?? db)[name] }),
  "its methods, bound": (db, tx) => ({ get: (_, name) => bound(tx() ?? db, name) }),
  "its methods, bound, if there is one": (db, tx) => ({
    get: (_, name) => tx() ? bound(tx()!, name) : db[name],
  }),
  "one of its methods, if there is one": (db, tx) => ({
    get: (_, name) => tx() && name === "insert" ? bound(tx()!, name) : db[name],
  }),
} satisfies Record<string, (db: Parts, tx: () => Parts | undefined) => ProxyHandler<Parts>>;

for (const [which, handler] of Object.entries(inFront)) {
  const lead = (db: unknown) => {
    const led: { to?: AnyDatabase | undefined } = {};
    const proxy = (target: Parts) =>
      new Proxy<Parts>(target, handler(db as Parts, () => led.to as Parts | undefined)) as never;
    return { led, inFrontOf: proxy(db as Parts) as AnyDatabase, lazy: proxy({}) as AnyDatabase };
  };

  test(`a Proxy to the current transaction, ${which}: nothing is written outside`, async ({ plain, sql }) => {
    const { led, inFrontOf, lazy } = lead(plain);
    assertThrows(() => withEncryption(lazy), TypeError, IN_FRONT);
    // Outside a transaction it may be the database itself.
    const [wrapped] = await Promise.allSettled([Promise.resolve(inFrontOf).then(withEncryption)]);
    const write = () =>
      wrapped.status === "rejected"
        ? Promise.reject(wrapped.reason)
        : insert(wrapped.value, 1, "555").execute();
    await plain.transaction(async (tx) => {
      led.to = tx;
      await assertRejects(async () => await write(), TypeError, IN_FRONT);
      led.to = undefined;
    });
    assertEquals(await sql("SELECT id FROM person"), []);
  });

  test(`a Proxy in front of a wrapped database, to ${which}: writes in its transaction`, async ({ db, context }) => {
    const { led, inFrontOf, lazy } = lead(db);
    for (const proxy of [inFrontOf, lazy]) {
      const attempt = db.transaction(async (tx) => {
        led.to = tx;
        await insert(proxy, 1, "555");
        assertEquals(await phones(tx), ["555"]);
        throw new Abort();
      });
      await assertRejects(() => attempt, Abort);
      led.to = undefined;
      assertEquals(await phones(proxy), []);
    }
    await insert(lazy, 1, "777");
    await assertStored(context, "SELECT phone FROM person", "777");
  });
}

interface Traced {
  session: Record<"prepareQuery" | "transaction", (...args: never[]) => unknown>;
}

/** Records a session's statements like tracers: by changing it and its transactions. */
function trace(db: AnyDatabase): string[] {
  const seen: string[] = [];
  const traced = new WeakSet();
  const follow = ({ session }: Traced) => {
    if (traced.has(session)) return;
    traced.add(session);
    const { prepareQuery } = session;
    session.prepareQuery = function (...args: [{ sql: string }]) {
      const prepared = prepareQuery.apply(this, args as never) as {
        execute(...values: unknown[]): unknown;
      };
      const { execute } = prepared;
      prepared.execute = function (...values) {
        seen.push(args[0].sql);
        return execute.apply(this, values);
      };
      return prepared;
    };
  };
  const { session } = db as unknown as Traced;
  follow({ session });
  const { transaction } = session;
  session.transaction = function (run: (tx: Traced) => unknown, ...rest: unknown[]) {
    const following = (tx: Traced) => {
      follow(tx);
      return run(tx);
    };
    return transaction.apply(this, [following, ...rest] as never);
  };
  return seen;
}

test("a tracer of the wrapped database sees the same as on the other one", async ({ context }) => {
  const seen: string[][] = [];
  for (const db of [context.open(), withEncryption(context.open())]) {
    const statements = trace(db);
    await db.insert(people).values({ id: seen.length, name: "Ada" });
    await db.transaction(async (tx) => {
      await tx.update(people).set({ name: "Grace" });
      await tx.transaction(async (inner) =>
        void await inner.select({ id: people.id }).from(people)
      );
    });
    // Some drivers send it with the session that began the transaction.
    seen.push(statements.filter((statement) => statement !== "commit"));
  }
  assertEquals(seen[1], seen[0]);
  assert(seen[1]!.some((statement) => statement.startsWith("update")));
  const db = withEncryption(context.open());
  const statements = trace(db);
  const written = await db.transaction((tx) => insert(tx, 9, "555").returning());
  assertEquals(written[0]?.phone, "555");
  assert(statements.some((statement) => statement.startsWith("insert")));
  await assertStored(context, "SELECT phone FROM person WHERE id = 9", "555");
});

test("databases created by a wrapped one or its session are wrapped", async ({ context }) => {
  const plain = context.open();
  // A future driver's database.
  const methods = Object.create(Object.getPrototypeOf(plain), {
    constructor: { value: plain.constructor },
    $another: { value: () => context.open() },
    $run: { value: (run: (db: AnyDatabase) => unknown) => run(context.open()) },
  });
  const db = withEncryption(Object.setPrototypeOf(plain, methods)) as AnyDatabase & {
    $another(): AnyDatabase;
    $run<T>(run: (db: AnyDatabase) => T): T;
    session: { transaction<T>(run: (tx: AnyDatabase) => Promise<T>): Promise<T> };
  };
  await insert(db.$another(), 1, "555");
  assertEquals(await db.$run((another) => phones(another)), ["555"]);
  assertEquals(await db.session.transaction((tx) => phones(tx)), ["555"]);
  await assertStored(context, "SELECT phone FROM person", "555");
});
