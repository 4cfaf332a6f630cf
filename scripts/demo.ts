/**
 * `deno task demo`: the main job, over HTTP, on an embedded database.
 *
 * A simulated mStudio delivers the life of two instances to a real server with the webhook handler; after
 * each event the demo shows what lies in the database and what the application reads. With
 * TEST_DATABASE_URL it uses that server instead, in a scratch database that it drops at the end.
 *
 * @module
 */

// At once: loading all else, and starting PostgreSQL, take some seconds.
console.log("A mittwald extension's webhooks, with their secrets encrypted in PostgreSQL\n");
const { runDemo } = await import("../tools/demo/main.ts");
await runDemo();
