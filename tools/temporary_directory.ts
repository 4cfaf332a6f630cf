import { startGuard } from "./program.ts";

/**
 * Removes `$0` at the end of the input. Programs in it end at the same time and may still write for
 * a while.
 */
const REMOVE = `trap '' HUP INT QUIT TERM; read -r _
left=100; until rm -rf "$0" 2>/dev/null || [ $((left -= 1)) -lt 0 ]; do sleep 0.1; done`;

/** A temporary directory that is removed with this program, however it ends. */
export interface TemporaryDirectory extends AsyncDisposable {
  /** Every user may traverse it; only its owner may list it. */
  readonly path: string;
}

export function temporaryDirectory(): TemporaryDirectory {
  // Root runs PostgreSQL as another user, who could not traverse a private TMPDIR.
  const dir = Deno.uid() === 0 ? "/tmp" : undefined;
  const path = Deno.makeTempDirSync({ prefix: "mitthooks-", ...dir && { dir } });
  const remove = startGuard("/bin/sh", ["-c", REMOVE, path]);
  Deno.chmodSync(path, 0o711);
  return { path, [Symbol.asyncDispose]: remove };
}
