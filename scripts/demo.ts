/**
 * `deno task demo`: the main use case, over HTTP, on an embedded database.
 *
 * A simulated mStudio delivers the events of two instances to a real server with the webhook
 * handler. After each event the demo shows the database's content and the application's view. With
 * TEST_DATABASE_URL it uses that server, in a scratch database that it drops at the end.
 *
 * @module
 */

// At once, because loading the rest and starting PostgreSQL take some seconds.
console.log("A mittwald extension's webhooks, with their secrets encrypted in PostgreSQL\n");
const { runDemo } = await import("../tools/demo/main.ts");
await runDemo();
