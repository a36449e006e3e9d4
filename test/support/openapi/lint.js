// Lints an OpenAPI document: `node lint.js FILE` prints the problems as JSON.
import { createConfig, lint } from "@redocly/openapi-core";

const rules = {
  "operation-4xx-response": "error",
  // Requests are closed by themselves. The rule would also close the parts of a oneOf.
  "no-invalid-media-type-examples": { severity: "error", allowAdditionalProperties: true },
  "no-unused-components": "error",
  // A literal takes precedence: /users/_search is not /users/{id}.
  "no-ambiguous-paths": "off",
};
const config = await createConfig({ extends: ["recommended-strict"], rules });
const problems = await lint({ ref: process.argv[2], config });
const found = problems.map(({ ruleId, message, location }) => [ruleId, message, location[0]?.pointer]);
process.stdout.write(JSON.stringify(found));
