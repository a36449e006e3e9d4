// Proves that the tables in README.md and docs agree with the code.
import { existsSync, globSync, readFileSync } from "node:fs";
import { DEFAULT_POLICY } from "../../../src/domain/lockout.ts";
import { clientSamples, DOCUMENTATION, rows } from "../../support/docs.ts";

test("the table of the lockout policy has the defaults of the code", () => {
  const minutes = (micros: number) =>
    micros % 3_600_000_000 === 0 ? `${micros / 3_600_000_000} h` : `${micros / 60_000_000} min`;
  const { maxAttempts, window, lockDuration, maxLockDuration, knownDevicesPass, revealLock } = DEFAULT_POLICY;
  const written = rows("Automatic locks").filter(([field]) => field !== "field");
  expect(written.map(([field, value]) => [field, value])).toEqual([
    ["`maxAttempts`", String(maxAttempts)],
    ["`window`", minutes(window)],
    ["`lockDuration`", minutes(lockDuration)],
    ["`maxLockDuration`", minutes(maxLockDuration)],
    ["`knownDevicesPass`", String(knownDevicesPass)],
    ["`revealLock`", String(revealLock)],
  ]);
});

test("every file and folder that the documentation names exists", () => {
  const named = [...DOCUMENTATION.matchAll(/`((?:src|test|proto|gen|bench)(?:\/[\w.*-]+)*)`/g)].map(
    ([, path]) => path as string,
  );
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((path) => !path.includes("*") && !existsSync(path))).toEqual([]);
});

describe("the page about clients", () => {
  const programs = globSync("test/interop/**/*.*").map((file) => readFileSync(file, "utf8"));
  const samples = ["python", "java", "xml", "properties", "go", "yaml", "typescript"].flatMap((language) =>
    clientSamples(language).map((code) => ({ language, code })),
  );

  /** The code without its indentation, where that has no meaning. */
  const compared = (language: string, code: string) =>
    ["python", "yaml"].includes(language) ? code : code.replaceAll(/^[ \t]+/gm, "");

  test.each(samples)("has this $language of a program that the tests run:\n$code", ({ language, code }) => {
    const sample = compared(language, code);
    expect(programs.some((program) => compared(language, program).includes(sample))).toBe(true);
  });
});
