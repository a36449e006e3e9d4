import { common, whole } from "../../jest.config.js";

/** `npm run test:conformance`: the protocols' own suites, whose runners need Go. */
export default {
  ...whole,
  ...common,
  rootDir: "../..",
  globalSetup: "<rootDir>/test/conformance/runners/before-suites.js",
  testRegex: "/test/conformance/.*\\.test\\.ts$",
  testTimeout: 300_000,
  // Each suite runs several servers at once, and its cases have deadlines.
  maxWorkers: 1,
};
