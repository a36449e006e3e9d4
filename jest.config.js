import { availableParallelism } from "node:os";

/** Tests that compare times, or take all cores. Each file runs alone, once all others are done. */
const ALONE = [
  "console/quick",
  "integration/login/lockout-concurrency",
  "integration/login/login-failed",
  "integration/users/costly-searches",
  "integration/watch/watch-catch-up",
  "integration/watch/watch-many",
  "unit/auth/password",
];
const isAlone = `/test/(${ALONE.join("|")})\\.test\\.ts$`;

/** Suites with a config and a command of their own, because they need toolchains of other languages. */
const APART = "/test/(conformance|interop/(go|python|java))/";

/** What every test file needs. */
export const common = {
  setupFiles: ["<rootDir>/test/support/plain-stacks.js", "<rootDir>/test/support/openapi/checked-fetch.ts"],
  extensionsToTreatAsEsm: [".ts"],
  transform: { "\\.ts$": "<rootDir>/test/support/strip-types.js" },
};

/** What every run needs. */
export const whole = {
  globalSetup: "<rootDir>/test/support/before-all.js",
  reporters: ["default", "<rootDir>/test/support/closing-line.js"],
};

export default {
  ...whole,
  // Room for a slow machine with other work to do.
  testTimeout: 180_000,
  // Most tests wait most of the time, so more files than cores run at once.
  maxWorkers: 2 * availableParallelism(),
  projects: [
    { ...common, testRegex: "/test/.*\\.test\\.ts$", testPathIgnorePatterns: [isAlone, APART] },
    { ...common, testRegex: isAlone, displayName: "alone", runner: "<rootDir>/test/support/one-by-one.js" },
  ],
};
