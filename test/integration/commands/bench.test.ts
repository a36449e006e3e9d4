// Proves that the benchmarks in the documentation exist, and that the smallest one runs.
import { spawnSync } from "node:child_process";
import { BENCHES, FIGURES } from "../../../bench/benches.ts";
import { rowsOf } from "../../../bench/support/compare.ts";
import { DOCUMENTATION } from "../../support/docs.ts";
import { withoutSettings } from "../../support/servers/server-process.ts";

describe("the benchmarks", () => {
  test("of the documentation's commands exist", () => {
    const named = [...DOCUMENTATION.matchAll(/^npm run bench -- ([\w-]+)/gm)].map(([, name]) => name as string);
    expect(named.length).toBeGreaterThan(3);
    expect(named.filter((name) => name !== "all" && !BENCHES[name])).toEqual([]);
  });

  test("of the documentation's table are those that `npm run bench -- all` prints", () => {
    const table = DOCUMENTATION.split("<!-- figures -->")[1]?.split("<!-- /figures -->")[0] ?? "";
    const written = [...table.matchAll(/^\| (.*?) \| \d.*? \| .*? \| (.*?) \| (.*?) \|$/gm)];
    const expected = Object.values(FIGURES).flatMap(rowsOf);
    expect(written.map(([, name, bound, aim]) => ({ name, bound: bound?.trim(), aim: aim?.trim() }))).toEqual(expected);
  });

  test("are listed by `npm run bench` with their figures", () => {
    const { status, stdout } = spawnSync("npm", ["run", "-s", "bench"], { encoding: "utf8" });
    expect(status).toBe(0);
    const expected = Object.entries(BENCHES).map(([name, bench]) => [name, bench.name]);
    const listed = stdout.trimEnd().split("\n");
    expect(listed.map((line) => [line.split(" ")[0], line.replace(/^\S+ +/, "")])).toEqual(expected);
  });

  test("run, and the smallest one prints its row", () => {
    const sizes = { BENCH_ROUNDS: "1", BENCH_USERS: "30" };
    const { status, stdout, stderr } = spawnSync(process.execPath, ["bench/run.ts", "bulk"], {
      env: { ...withoutSettings(process.env), ...sizes },
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^\| bulk lock of 30 ÷ bare batch insert of the same events \| [\d.]+ \|/m);
  });
});
