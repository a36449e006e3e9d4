import { spawn } from "node:child_process";
import { once } from "node:events";

export interface Outcome {
  /** The exit code, or null if a signal ended the command. */
  code: number | null;
  stdout: string;
  stderr: string;
}

/**
 * Runs a command with `input` on stdin until it ends, prints what matches `until`, or has run for `timeoutMs`. Rejects
 * only if it cannot be started.
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  input: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array> = [],
  {
    env,
    cwd,
    timeoutMs,
    until,
  }: {
    env?: NodeJS.ProcessEnv | undefined;
    cwd?: string | undefined;
    timeoutMs?: number | undefined;
    until?: RegExp | undefined;
  } = {},
): Promise<Outcome> {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], env, cwd, timeout: timeoutMs });
  const ended = once(child, "close");
  const text = async (stream: AsyncIterable<Buffer>) => {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) {
      chunks.push(chunk);
      if (until?.test(Buffer.concat(chunks).toString())) child.kill();
    }
    return Buffer.concat(chunks).toString();
  };
  // A command may end before it has read all its input.
  child.stdin.on("error", () => {});
  const feed = async () => {
    for await (const chunk of input) child.stdin.write(chunk);
    child.stdin.end();
  };
  const [[code], stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr), feed()]);
  return { code, stdout, stderr };
}
