import { readFileSync } from "node:fs";
import { runCommand } from "../servers/command.ts";
import { ADMIN_TOKEN, startServer } from "../servers/server-process.ts";
import { usersOf } from "../users.ts";

/** How to run a program with this text. */
type Start = (text: string) => { command: string; args: string[]; cwd: string; env?: Record<string, string> };

/** Runs a documented program twice, with the address and the user of the test. It locks the user, and is then refused. */
export async function runDocumented(file: string, start: Start): Promise<void> {
  const server = await startServer();
  try {
    const user = await usersOf(server.url).add();
    const text = readFileSync(file, "utf8").replaceAll("127.0.0.1:8080", new URL(server.url).host);
    const { command, args, cwd, env } = start(text.replaceAll('"alice"', `"${user}"`));
    // The program follows events, and does not end by itself.
    const until = new RegExp(`^${user} was locked$`, "m");
    const environment = { ...process.env, ...env, TOKEN: ADMIN_TOKEN };
    const run = () => runCommand(command, args, [], { cwd, env: environment, until, timeoutMs: 120_000 });
    for (const first of [/^locked at \d/, /^refused: USER_ALREADY_LOCKED /]) {
      const { stdout, stderr } = await run();
      expect({ stdout, stderr }).toMatchObject({ stdout: expect.stringMatching(first) });
      expect(stdout).toMatch(until);
    }
  } finally {
    await server.stop();
  }
}
