// Proves that the lines that `npm run dev` prints work when they are pasted.
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { withoutSettings } from "../../support/servers/server-process.ts";

test("the printed lines of the dev server lock a user and log in another", async () => {
  const { dev } = JSON.parse(readFileSync("package.json", "utf8")).scripts;
  expect(dev).toBe("node --watch dev/serve.ts");
  const child = spawn(process.execPath, ["dev/serve.ts"], {
    env: { ...withoutSettings(process.env), USERLOCK_LISTEN: "127.0.0.1:0" },
    stdio: ["ignore", "pipe", "ignore"],
  });
  try {
    let printed = "";
    for await (const chunk of child.stdout.setEncoding("utf8")) {
      printed += chunk;
      if (printed.includes("/sessions\n")) break;
    }
    const [banner, ...lines] = printed.split("\n");
    expect(banner).toMatch(/^userlock listening on http:.* with the users alice, bob, carol$/);
    const { status, stdout } = spawnSync("bash", ["-euc", lines.join("\n")], { encoding: "utf8" });
    expect(status).toBe(0);
    expect(stdout).toMatch(/"details":\{"id":"alice".*"sessionToken":"/s);
  } finally {
    child.kill();
  }
});
