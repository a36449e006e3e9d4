/**
 * Measures every figure of the README's table, one after the other, and prints the table. It takes most of an hour.
 *
 *   npm run bench
 */
import { spawn } from "node:child_process";
import { once } from "node:events";

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
  ["bare", "grpc"],
  ["bare", "rest"],
  ["generator"],
];

let output = "";
for (const [name, ...args] of FIGURES) {
  console.log(`\nnpm run bench:${[name, ...args].join(" -- ")}`);
  const child = spawn(process.execPath, [`bench/${name}.ts`, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  child.stdout.setEncoding("utf8").on("data", (text) => {
    process.stdout.write(text);
    output += text;
  });
  const [code] = await once(child, "close");
  if (code !== 0) process.exitCode = 1;
}
console.log("\n| figure | median | spread | at least | aim |\n|---|---|---|---|---|");
for (const line of output.split("\n")) if (line.startsWith("| ")) console.log(line);
