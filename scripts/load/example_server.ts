/** The example as a server process of its own, on a database of its own. */

import postgres from "postgres";
import { createDatabase } from "../../tools/postgres/databases.ts";
import { Project, readFolder } from "../../tests/support/project.ts";
import { SimulatedMstudio } from "../../testing/mod.ts";
import type { GuardedDirectory } from "../../tools/guarded_directory.ts";

const FOLDER = "examples/deno-deploy";
const EXTENSION_ID = "my-extension";
const START_LIMIT_MS = 30_000;

/** The example as it is, and its memory after a garbage collection, which answers on a port of its own. */
const MAIN_WITH_MEMORY = `
Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: ({ port }) => console.log("Memory on", port) }, () => {
  gc();
  return Response.json(Deno.memoryUsage());
});
await import("./main.ts");
`;

/** Memory of the server process in bytes. */
export interface Memory {
  /** What the operating system counts. */
  readonly rss: number;
  /** What is in use of V8's heap after a garbage collection. */
  readonly heapUsed: number;
}

/** The running example. */
export interface ExampleServer {
  readonly mstudio: SimulatedMstudio;
  /** Where it takes webhooks. */
  readonly url: string;
  /** Its database, past the example. */
  readonly sql: postgres.Sql;
  memory(): Promise<Memory>;
}

/** Migrates a new database, and starts the example on it. It ends with the directory. */
export async function startExample(directory: GuardedDirectory): Promise<ExampleServer> {
  const database = await createDatabase();
  const sql = postgres(database.url, { max: 1, onnotice: () => {} });
  const files = await readFolder(FOLDER);
  for (const name of Object.keys(files).filter((name) => name.endsWith(".sql")).sort()) {
    for (const statement of files[name]!.split("--> statement-breakpoint")) {
      await sql.unsafe(statement);
    }
  }
  const mstudio = await SimulatedMstudio.create({
    extensionId: EXTENSION_ID,
    target: () => new Response(),
  });
  const api = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, mstudio.api);
  const project = await Project.create({ ...files, "main_with_memory.ts": MAIN_WITH_MEMORY }, {
    DATABASE_URL: database.url,
    ENCRYPTION_MASTER_PASSWORD: "master password of the load",
    ENCRYPTION_SALT: "salt of the load",
    EXTENSION_ID,
    MITTWALD_API_URL: `http://127.0.0.1:${api.addr.port}`,
    PORT: "0",
  });
  const server = directory.spawn(Deno.execPath(), {
    args: ["run", "-A", "--v8-flags=--expose-gc", "main_with_memory.ts"],
    cwd: project.path,
    env: project.env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const output = new Output(server);
  const port = await output.find(/Listening on http:\/\/[^:]+:(\d+)/);
  const memoryPort = await output.find(/Memory on (\d+)/);
  return {
    mstudio,
    sql,
    url: `http://127.0.0.1:${port}/webhooks`,
    memory: async () => await (await fetch(`http://127.0.0.1:${memoryPort}`)).json(),
  };
}

/** The end of what a process prints. */
class Output {
  #text = "";
  #ended = false;

  constructor(process: Deno.ChildProcess) {
    for (const stream of [process.stdout, process.stderr]) this.#read(stream);
    process.status.then(() => this.#ended = true);
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.#text = (this.#text + text).slice(-8_000);
    }
  }

  async find(pattern: RegExp): Promise<string> {
    const limit = Date.now() + START_LIMIT_MS;
    for (;;) {
      const found = pattern.exec(this.#text)?.[1];
      if (found !== undefined) return found;
      if (this.#ended || Date.now() > limit) {
        throw new Error(`Starting the example: it does not say where it listens\n${this.#text}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
