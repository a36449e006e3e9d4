// Proves that patterns mean the same as in the library's own engine.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { create, createRegistry, type DescMessage } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import fc from "fast-check";
import { ListEventsRequestSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { file_userlock_v3alpha_options } from "../../../gen/userlock/v3alpha/options_pb.ts";
import {
  LockUserRequestSchema,
  SetPhoneSchema,
  SetUsernameSchema,
  UnlockUserRequestSchema,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { createRequestValidator } from "../../../src/rpc/validator.ts";

const own = createRequestValidator();
const withRe2 = createValidator({ registry: createRegistry(file_userlock_v3alpha_options) });

/** Text of what patterns are about: letters, their neighbours, white space, controls, what lies beyond 16 bits. */
const unit = fc.oneof(
  fc.constantFrom("a", "Z", "0", ".", "_", "~", "@", ":", "-", "+", "(", ")", "/", " ", "\n", "\t", "\0", "\u007f"),
  fc.constantFrom("é", "\u00a0", "\u2028", "\u200b", "\ud7ff", "𝒳", "\u{10ffff}", "\ufeff", "["),
  fc.string({ minLength: 1, maxLength: 1, unit: "binary" }),
);
const text = fc.oneof(
  fc.string({ unit, maxLength: 8 }),
  fc.string({ unit: fc.constantFrom("a", "é"), minLength: 198, maxLength: 202 }),
  fc.string({ unit: fc.constantFrom("a", "_", ".", ".\n"), maxLength: 5 }),
  fc.string({ unit: fc.constantFrom("0", "+", " ", "-"), maxLength: 42 }),
);

test.each<[string, DescMessage, (value: string) => Record<string, unknown>]>([
  ["an identifier", UnlockUserRequestSchema, (id) => ({ id })],
  ["a reason", LockUserRequestSchema, (reason) => ({ id: "anna", reason })],
  ["a note", LockUserRequestSchema, (note) => ({ id: "anna", note })],
  ["a user name", SetUsernameSchema, (username) => ({ username })],
  ["a phone number", SetPhoneSchema, (number) => ({ number })],
  ["a type of events", ListEventsRequestSchema, (type) => ({ types: [type] })],
])("%s means the same as to the library's own engine", (_what, desc, of) => {
  const kinds = new Set<string>();
  fc.assert(
    fc.property(text, (value) => {
      const message = create(desc, of(value));
      const { kind } = own.validate(desc, message);
      kinds.add(kind);
      expect(kind).toBe(withRe2.validate(desc, message).kind);
    }),
    { numRuns: 400, seed: 20_261_124 },
  );
  expect([...kinds].sort()).toEqual(["invalid", "valid"]);
});

test("a pattern repeats no group without a bound, which could take more than linear time", () => {
  const folder = "proto/userlock/v3alpha";
  const contract = readdirSync(folder).map((file) => readFileSync(join(folder, file), "utf8"));
  const patterns = contract.flatMap((source) =>
    [...source.matchAll(/pattern(?:: | = )"([^"]*)"|matches\('([^']*)'\)/g)].map(([, one, other]) => one ?? other),
  );
  expect(patterns.length).toBeGreaterThan(4);
  for (const pattern of patterns) expect(pattern).not.toMatch(/\)[*+{]/);
});
