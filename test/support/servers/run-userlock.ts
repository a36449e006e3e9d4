import { spawn } from "node:child_process";
import { once } from "node:events";
import { withoutSettings } from "./server-process.ts";

/** Runs userlock's command line to its end, with these settings and no others. */
export async function runUserlock(args: readonly string[], settings: Record<string, string> = {}) {
  const child = spawn(process.execPath, ["src/main.ts", ...args], {
    env: { ...withoutSettings(process.env), ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const [code] = await once(child, "close");
  return { code: code as number, stdout, stderr };
}
