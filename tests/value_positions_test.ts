import { assert, assertEquals } from "@std/assert";
import { tokenize } from "../pg/internal/sql_tokens.ts";
import { findStoredParameters } from "../pg/internal/value_positions.ts";

const stored = (sql: string) => [...findStoredParameters(sql)].map((index) => index + 1);

Deno.test("parameters that are stored", () => {
  const cases: [sql: string, parameters: number[]][] = [
    [`insert into "t" ("a","b") values ($1, $2), (default, $3)`, [1, 2, 3]],
    [`insert into t values ($1::text, $2::"s"."t"(3)[], ($3), (($4)))`, [1, 2, 3, 4]],
    [`insert into t as x (a) overriding user value values ($1) returning a`, [1]],
    [
      `insert into t values (cast($1 as text), coalesce($2, 'x'), CASE WHEN b THEN $3 ELSE $4 END)`,
      [
        1,
        2,
        3,
        4,
      ],
    ],
    [`insert into t values ($1) on conflict (a) do update set a = $2 where t.a = $3`, [1, 2]],
    [`insert into t values ($1) on conflict (a) where b = $2 do update set a = excluded.a`, [1]],
    [`update t set "a" = $1, b = $2 where c = $3`, [1, 2]],
    [`update t set a = $1 from u where u.id = t.id and u.x = $2 returning $3`, [1]],
    [`update only t as x set (a, b) = ($1, $2), c = row($3) where d = $4`, [1, 2, 3]],
    [`update t set a = case id when 1 then $1 when $2 then ($3) else coalesce($4, a) end`, [
      1,
      3,
      4,
    ]],
    [`with n as (insert into t (a) values ($1) returning a) select * from n where a = $2`, [1]],
    [`with o as (update t set a = $1 where b = $2 returning *) delete from u where c <> $3`, [1]],
    [`UPDATE t SET a = $1 WHERE b = $2`, [1]],
    [`update t set a = $2, b = $1`, [2, 1]],
    [`update t set a = :1, b = :2 where c = :3`, [1, 2]],
    [`update t set a = $1, b = c[1:2], d = $2`, [1, 2]],
  ];
  for (const [sql, parameters] of cases) assertEquals(stored(sql), parameters, sql);
});

Deno.test("parameters that are not stored", () => {
  const cases = [
    `select $1`,
    `select * from t where a = $1`,
    `select * from t where a in ($1, $2)`,
    `select * from t where (a, b) in (values ($1, $2))`,
    `select * from (values ($1)) v(a)`,
    `values ($1)`,
    `delete from t where a <> $1`,
    `select * from t for update of t limit $1`,
    `insert into t select $1`,
    `insert into t select a from u where a = $1`,
    `insert into t values (a = $1)`,
    `insert into t values ($1 = 'x')`,
    `insert into t values (lower($1))`,
    `insert into t values ((select a from u where b = $1))`,
    `insert into t values (case when a = $1 then b end)`,
    `insert into t values (case $1 when a then b end)`,
    `insert into t values (coalesce(a = $1, false))`,
    `insert into t values (a) on conflict (a) do update set b = 1 where $1 = a`,
    `insert into t values (a) returning $1`,
    `update t set a = b = $1`,
    `update t set a = $1 = b`,
    `update t set a = $1 || 'x'`,
    `update t set a = 'x' || $1`,
    `update t set a = nullif(b, $1)`,
    `update t set a = (b = $1)`,
    `update t set a = (select b from u where c = $1)`,
    `update t set (a, b) = (select b, c from u where c = $1)`,
    `update t set a = $1 and b = 2`,
    `update t set a = 1 where b = case when c then $1 end`,
    `update t set a = 1 where b = coalesce($1, c)`,
    `update t set a = 1 where (b) = ($1)`,
    `update t set a = 1 from (values ($1)) v(a)`,
    `set a = $1`,
    `-- values (\ndelete from t where a = $1`,
    `/* update t set a = /* nested */ */ delete from t where b = $1`,
    `delete from t where b <> 'it''s, set a = ' and a = $1`,
    `delete from t where b <> E'\\', set a = ' and a = $1`,
    `delete from t where b <> $x$ update t set a = $x$ and a = $1`,
    `delete from t where "update t set a" = $1`,
    `delete from t where "a "" set b" = $1`,
    `update t set a = $1 where b = $1`,
  ];
  for (const sql of cases) assertEquals(stored(sql), [], sql);
});

Deno.test("unfinished and odd statements end, and store nothing", () => {
  for (
    const sql of [
      "",
      "(",
      ")",
      "'",
      '"',
      "/*",
      "$x$",
      "values (",
      "update t set a =",
      "$1)))",
      "end",
    ]
  ) {
    assertEquals(stored(sql), [], sql);
  }
});

Deno.test("a statement with very many parameters, and a very long literal", () => {
  const rows = Array.from(
    { length: 15_000 },
    (_, row) => `($${row * 4 + 1}, $${row * 4 + 2}, $${row * 4 + 3}, $${row * 4 + 4})`,
  );
  assertEquals(findStoredParameters(`insert into t values ${rows.join(", ")}`).size, 60_000);
  const long = "x".repeat(5_000_000);
  assertEquals(stored(`update t set a = '${long}''${long}', b = e'${long}', "${long}" = $1`), [1]);
  const deep = "(".repeat(3_000) + "$1" + ")".repeat(3_000);
  assertEquals(stored(`update t set a = ${deep}`), [1]);
});

Deno.test("tokens: whatever is inside of literals and comments stays there", () => {
  const kinds = (sql: string) => tokenize(sql).map(({ kind }) => kind);
  assertEquals(kinds(`U&'x' B'1' N'n' 'a'  1.5e3 x'ff'`), Array(6).fill("literal"));
  assertEquals(kinds("a$1 _b ä"), ["word", "word", "word"]);
  assertEquals(kinds("$1::int"), ["parameter", "symbol", "word"]);
  assertEquals(kinds("-- $1"), []);
  assertEquals(tokenize("SELECT").map(({ text }) => text), ["select"]);
  // Fixed seed: whatever comes, the tokenizer ends, and every parameter is at most once in the result.
  let state = 42;
  const next = (bound: number) => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) % bound;
  const pieces = [
    "'",
    '"',
    "$1",
    "$x$",
    "/*",
    "*/",
    "--",
    "\n",
    "(",
    ")",
    "set",
    "=",
    "case",
    "end",
    "values",
    ",",
  ];
  for (let run = 0; run < 2_000; run++) {
    const sql = Array.from({ length: next(30) }, () => pieces[next(pieces.length)]).join(" ");
    assert(findStoredParameters(sql).size <= 1);
  }
});
