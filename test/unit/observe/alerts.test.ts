// Proves that the alerts fire when they should, and not before.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

const FOLDER = "deploy/prometheus";
const RULES = "userlock.rules.yml";
const TESTS = ["userlock.rules.test.yml", "userlock.rules.day.test.yml"];
const textOf = (file: string) => readFileSync(`${FOLDER}/${file}`, "utf8");

test.each([
  ["check", RULES],
  ["test", ...TESTS],
])("promtool %s rules succeeds", (command, ...files) => {
  const { status, stdout, stderr } = spawnSync("promtool", [command, "rules", ...files], {
    cwd: FOLDER,
    encoding: "utf8",
  });
  expect({ status, stdout, stderr }).toMatchObject({ status: 0, stdout: expect.stringContaining("SUCCESS") });
});

test("every alert has a test in which it fires, and one in which it does not", () => {
  const alerts = [...textOf(RULES).matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  const tests = TESTS.flatMap((file) =>
    textOf(file)
      .split(/^ {2}- name: /m)
      .slice(1),
  );
  expect(tests.map((text) => /^\w+/.exec(text)?.[0]).toSorted()).toEqual(alerts.toSorted());
  for (const text of tests) {
    expect(text).toMatch(/exp_alerts: \[\]/);
    expect(text).toMatch(/exp_labels: \{ severity:/);
  }
});
