// Proves that the unit for systemd is valid and hardened, and that its commands and settings exist.
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { COMMANDS } from "../../../src/cli/commands.ts";
import { readConfig } from "../../../src/config/config.ts";
import { runCommand } from "../../support/servers/command.ts";
import { temporaryFolder } from "../../support/servers/server-process.ts";

const UNIT = "deploy/systemd/userlock.service";
/** The exposure level of `systemd-analyze security` times ten. */
const MAX_EXPOSURE = 15;

const folder = temporaryFolder();
afterAll(folder.remove);
const text = readFileSync(UNIT, "utf8");

test("systemd finds no mistake in the unit", async () => {
  // The installed command must exist for the check.
  const program = folder.file("userlock");
  writeFileSync(program, "");
  chmodSync(program, 0o755);
  const unit = folder.file("userlock.service");
  writeFileSync(unit, text.replaceAll("/usr/bin/userlock", program));
  expect(await runCommand("systemd-analyze", ["verify", unit])).toEqual({ code: 0, stdout: "", stderr: "" });
  writeFileSync(unit, text.replaceAll("/usr/bin/userlock", program).replace("Type=exec", "Typ=exec"));
  expect((await runCommand("systemd-analyze", ["verify", unit])).stderr).toContain("Typ");
});

test(`the exposure of the unit is at most ${MAX_EXPOSURE / 10}`, async () => {
  const exposure = (threshold: number) =>
    runCommand("systemd-analyze", ["security", "--offline=yes", `--threshold=${threshold}`, UNIT]);
  expect((await exposure(MAX_EXPOSURE)).code).toBe(0);
  expect((await exposure(1)).code).not.toBe(0);
});

test("the commands and settings of the unit exist", () => {
  const commands = [...text.matchAll(/^Exec\w+=\/usr\/bin\/userlock (\w+)/gm)].map(([, name]) => name as string);
  expect(commands).toEqual(["serve", "check"]);
  for (const name of commands) expect(COMMANDS.commands).toHaveProperty(name);
  const settings = [...text.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]);
  expect(() => readConfig(Object.fromEntries(settings))).not.toThrow();
});
