export default {
  testTimeout: 20_000,
  reporters: ["default", "<rootDir>/test/support/closing-line.js"],
  extensionsToTreatAsEsm: [".ts"],
  transform: { "\\.ts$": "<rootDir>/test/support/strip-types.js" },
  testMatch: ["<rootDir>/test/**/*.test.ts"],
};
