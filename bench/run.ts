/**
 * Runs benchmarks.
 *
 *   npm run bench                              lists them
 *   npm run bench -- grpc-js                   runs one
 *   npm run bench -- grpc-js --against ../old  compares this checkout with another one
 *   npm run bench -- all                       measures the table in docs/performance.md, which takes most of an hour
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { BENCHES, FIGURES } from "./benches.ts";
import { compare } from "./support/compare.ts";

const { values, positionals } = parseArgs({ options: { against: { type: "string" } }, allowPositionals: true });
const [name] = positionals;
if (name === undefined) {
  for (const [each, bench] of Object.entries(BENCHES)) console.log(`${each.padEnd(16)} ${bench.name}`);
} else if (name === "all") {
  await runAll();
} else {
  const bench = BENCHES[name];
  if (!bench) throw new Error(`"${name}" is not a benchmark; npm run bench lists them`);
  await compare(bench, values.against && resolve(values.against));
}
// Client connections may still be open.
process.exit();

/** Runs each benchmark in its own process, so that none affects another. */
async function runAll(): Promise<void> {
  let output = "";
  for (const each of Object.keys(FIGURES)) {
    console.log(`\nnpm run bench -- ${each}`);
    const child = spawn(process.execPath, ["bench/run.ts", each], { stdio: ["ignore", "pipe", "inherit"] });
    child.stdout.setEncoding("utf8").on("data", (text) => {
      process.stdout.write(text);
      output += text;
    });
    const [code] = await once(child, "close");
    if (code !== 0) process.exitCode = 1;
  }
  console.log("\n| figure | median | spread | at least | aim |\n|---|---|---|---|---|");
  for (const line of output.split("\n")) if (line.startsWith("| ")) console.log(line);
}
