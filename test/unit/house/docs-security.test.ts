// Proves that each promise of docs/security.md names a test.
import { existsSync } from "node:fs";
import { rows } from "../../support/docs.ts";

test.each(["locks", "logins", "access", "console", "secrets", "availability"])(
  "each promise about %s names its tests",
  (subject) => {
    const promises = rows(`Promises: ${subject}`).slice(1);
    expect(promises.length).toBeGreaterThan(5);
    for (const [promise, proof] of promises) {
      const tests = [...(proof ?? "").matchAll(/`([^`]+)`/g)].map(([, path]) => path as string);
      const missing = tests.filter((path) => !path.endsWith(".test.ts") || !existsSync(path));
      expect({ promise, isProven: tests.length > 0, missing }).toEqual({ promise, isProven: true, missing: [] });
    }
  },
);
