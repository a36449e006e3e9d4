import { spawn } from "node:child_process";
import { once } from "node:events";
import { Readable } from "node:stream";
import { run } from "../../../src/main.ts";
import type { Outcome } from "./command.ts";
import { withoutSettings } from "./server-process.ts";

/** Runs userlock's command line in this process, with these settings only. */
export async function runUserlock(
  args: readonly string[],
  settings: Record<string, string> = {},
  { stdin = [], terminal = {} }: { stdin?: string[]; terminal?: { isTTY?: boolean; columns?: number } } = {},
): Promise<Outcome> {
  const printed = { stdout: "", stderr: "" };
  const screen = (name: keyof typeof printed) => ({
    ...terminal,
    write(text: string) {
      printed[name] += text;
      return true;
    },
  });
  const around = {
    env: settings,
    stdin: () => Readable.from(stdin),
    stdout: screen("stdout"),
    stderr: screen("stderr"),
    isInteractive: terminal.isTTY ?? false,
  };
  return { code: await run([...args], around), ...printed };
}

/** Runs userlock's command line in its own process, for exit codes and signals. */
export async function runUserlockProcess(
  args: readonly string[],
  settings: Record<string, string> = {},
): Promise<Outcome> {
  const child = spawn(process.execPath, ["src/main.ts", ...args], {
    env: { ...withoutSettings(process.env), ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const printed = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (chunk) => {
      printed[name] += chunk;
    });
  }
  const [code] = await once(child, "close");
  return { code, ...printed };
}
