import { common, whole } from "../../jest.config.js";

/** `npm run test:interop`: clients in other languages, which need toolchains that `npm test` does without. */
export default {
  ...whole,
  ...common,
  rootDir: "../..",
  testRegex: "/test/interop/(go|python|java)/.*\\.test\\.ts$",
  // A first run downloads and compiles packages.
  testTimeout: 600_000,
  maxWorkers: 3,
};
