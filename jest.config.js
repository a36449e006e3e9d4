/** What both runs of tests have in common. */
const common = {
  extensionsToTreatAsEsm: [".ts"],
  transform: { "\\.ts$": "<rootDir>/test/support/strip-types.js" },
};

/** The protocols from end to end, and the clients of others. */
const PROTOCOLS = [
  "integration/*/{access,deadlines,expect-continue,hostile,idempotency,limits,lock,protocols,users}",
  "interop/{browser,buf-curl,grpc-js,grpc-js-channel,zitadel,zitadel-wire}",
];

export default {
  testTimeout: 20_000,
  reporters: ["default", "<rootDir>/test/support/closing-line.js"],
  projects: [
    { ...common, testMatch: ["<rootDir>/test/**/*.test.ts"], globals: { UNARY_DOOR: "on" } },
    {
      ...common,
      displayName: "without the unary door",
      testMatch: PROTOCOLS.map((files) => `<rootDir>/test/${files}.test.ts`),
      globals: { UNARY_DOOR: "off" },
    },
  ],
};
