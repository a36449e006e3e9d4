/**
 * Measures every figure of the README's table, one after the other, and prints the table. It takes most of an hour.
 *
 *   npm run bench
 */
import { spawnSync } from "node:child_process";

const FIGURES = [
  ["connect-node"],
  ["grpc-js"],
  ["grpc-js", "256"],
  ["rest"],
  ["grpc-web"],
  ["lock-postgres"],
  ["introspection"],
  ["group-commit"],
  ["tail-latency"],
  ["lone-call"],
  ["watchers"],
  ["bulk"],
  ["idle-memory"],
  ["start"],
  ["big-store"],
];

const rows: string[] = [];
for (const [name, ...args] of FIGURES) {
  const options = { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] } as const;
  const { status, stdout } = spawnSync(process.execPath, [`bench/${name}.ts`, ...args], options);
  console.log(stdout);
  rows.push(...stdout.split("\n").filter((line) => line.startsWith("| ")));
  if (status !== 0) process.exitCode = 1;
}
console.log("| figure | median | spread | at least | aim |\n|---|---|---|---|---|");
for (const row of rows) console.log(row);
