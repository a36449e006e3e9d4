// Proves that the tables of docs/operations.md have the settings, roles and connection settings of the code.
import { readFileSync } from "node:fs";
import { SETTINGS } from "../../../src/config/settings.ts";
import { PERMISSIONS, ROLES } from "../../../src/domain/access.ts";
import { LINES } from "../../../src/observe/log/access-log.ts";
import { createMetrics } from "../../../src/observe/metrics.ts";
import { EXPORT_FAILED } from "../../../src/observe/traces/span-queue.ts";
import { LIMITS } from "../../../src/transport/limits.ts";
import { blocks, rows } from "../../support/docs.ts";

const PAGE = readFileSync("docs/operations.md", "utf8");

test("the table of settings has each setting with its default and its description", () => {
  const expected = Object.entries(SETTINGS).map(([name, setting]) => [
    `\`${name}\``,
    "default" in setting ? `\`${setting.default}\`` : "",
    setting.description,
  ]);
  expect(rows("Settings").slice(1)).toEqual(expected);
});

test("the table of roles has each role with its place and its permissions", () => {
  const expected = Object.entries(ROLES).map(([name, { scope, permissions }]) => [
    name,
    scope === "either" ? "instance or organization" : scope,
    permissions.length === PERMISSIONS.length ? "all" : permissions.join(", "),
  ]);
  expect(rows("Roles").slice(1)).toEqual(expected);
});

test("the table of connection settings names those that userlock sets on PostgreSQL", () => {
  const source = readFileSync("src/store/postgres/connections.ts", "utf8");
  const set = /Object\.entries\(\{(.*?)\}\);/s.exec(source)?.[1] ?? "";
  const names = [...set.matchAll(/\b([a-z_]+):/g)].map(([, name]) => name).concat("synchronous_commit");
  const table = /\*\*Connection settings\.\*\*.*?\n\n(.*?)\n\n/s.exec(PAGE)?.[1] ?? "";
  const written = [...table.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, cell]) => cell?.match(/\w+/g) ?? []);
  expect(written.toSorted()).toEqual(names.toSorted());
});

test("the time that a stopping server gives its calls is that of the limits", () => {
  expect(PAGE).toContain(`Calls in flight have ${LIMITS.drainMs / 1000} s to`);
});

test("the statements that distribute a store by hand are those of a first start on Citus", () => {
  const schema = readFileSync("src/store/postgres/schema.sql", "utf8");
  const tables = [...schema.matchAll(/^CREATE TABLE (\w+)/gm)].map(([, name]) => name as string);
  const source = readFileSync("src/store/postgres/schema.ts", "utf8");
  const together = tables
    .filter((name) => name !== "instances" && name !== "userlock_schema")
    .map((name) => `SELECT create_distributed_table('${name}', 'instance', colocate_with => 'instances')`);
  const others = [...source.matchAll(/"(SELECT create_\w+\(.*\))"/g)].map(([, statement]) => statement as string);
  const written = blocks("sql").flatMap(({ code }) => code.match(/SELECT create_.*(?=;)/g) ?? []);
  expect(tables.length).toBeGreaterThan(4);
  expect(written.toSorted()).toEqual([...together, ...others].toSorted());
});

test("the table of log lines has each line that a server writes by itself", () => {
  const source = ["server", "main"].map((name) => readFileSync(`src/${name}.ts`, "utf8")).join("");
  const calls = [...source.matchAll(/(?:fault\(|log\.(?:info|error|warn)\((?:\{.*\}, )?)(?:"([^"]+)"|([A-Z_]+))/g)];
  // Of a text in a constant the table has the first part.
  const partOf = (name: string) => new RegExp(`const ${name} =\\s+"([^"]+)"`).exec(source)?.[1]?.trim();
  const lines = [
    ...calls.map(([, text, name]) => text ?? partOf(name as string)),
    ...Object.values(LINES),
    EXPORT_FAILED,
  ];
  const written = rows("Log lines")
    .slice(1)
    .map(([text]) => text?.replaceAll("`", "").replace(/ …$/, ""));
  expect(lines.length).toBeGreaterThan(5);
  expect(written.toSorted()).toEqual(lines.toSorted());
});

test("the table of metrics has each metric with its labels and its help", () => {
  const { all, close } = createMetrics({ version: "", store: "" }, () => 0);
  close();
  const expected = all.map(({ name, labels = [], help }) => [
    `\`${name}\``,
    labels.map((label) => `\`${label}\``).join(", "),
    help,
  ]);
  expect(expected.length).toBeGreaterThan(20);
  expect(rows("Metrics").slice(1)).toEqual(expected);
});

test("the table of alerts has each alert of the rules, which link to it", () => {
  const rules = readFileSync("deploy/prometheus/userlock.rules.yml", "utf8").split("- alert: ").slice(1);
  const names = rules.map((rule) => /^\w+/.exec(rule)?.[0]);
  expect(names.length).toBeGreaterThan(10);
  expect(rows("Alerts").map(([name]) => name?.replaceAll("`", ""))).toEqual(["alert", ...names]);
  for (const rule of rules) {
    expect(rule).toMatch(/^ +summary: "\S.*"$/m);
    expect(rule).toMatch(/^ +runbook_url: docs\/operations\.md#watch-it$/m);
    expect(rule).toMatch(/labels: \{ severity: (critical|warning) \}/);
  }
});
