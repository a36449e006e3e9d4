/** Compares the contract with that of the last release: `npm run check:release`. Ends with 1 at a breaking change. */
import { spawnSync } from "node:child_process";

const { status, stdout } = spawnSync("git", ["describe", "--tags", "--abbrev=0", "--match", "v*"], {
  encoding: "utf8",
});
if (status !== 0) {
  process.stdout.write("No release is tagged yet, so there is nothing to compare with.\n");
} else {
  const tag = stdout.trim();
  const { status: found } = spawnSync("node_modules/.bin/buf", ["breaking", "--against", `.git#tag=${tag}`], {
    stdio: "inherit",
  });
  if (found === 0) process.stdout.write(`The contract has no breaking change against ${tag}.\n`);
  process.exitCode = found === 0 ? 0 : 1;
}
