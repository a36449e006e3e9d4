export default {
  testMatch: ["<rootDir>/test/**/*.test.ts"],
  extensionsToTreatAsEsm: [".ts"],
  transform: { "\\.ts$": "<rootDir>/test/support/strip-types.js" },
  testTimeout: 20_000,
  reporters: ["default", "<rootDir>/test/support/closing-line.js"],
};
