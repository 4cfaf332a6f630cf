/**
 * `deno task demo`: the main use case, over HTTP, on an embedded database.
 *
 * A simulated mStudio delivers the events of two instances to a real server with the webhook
 * handler. After each event the demo shows the database's content and the application's view.
 */

// At once, because loading the rest and starting PGlite take some seconds.
console.log("A mittwald extension's webhooks, with their secrets encrypted in PostgreSQL\n");
const { runDemo } = await import("../tools/demo/main.ts");
await runDemo();
