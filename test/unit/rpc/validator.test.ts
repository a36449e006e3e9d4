// Proves that patterns match as in the library's own RE2 engine.
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

/** Characters that patterns distinguish: letters and their neighbours, white space, controls, more than 16 bits. */
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
  ["the pattern of an identifier", UnlockUserRequestSchema, (id) => ({ id })],
  ["the pattern of a lock reason", LockUserRequestSchema, (reason) => ({ id: "anna", reason })],
  ["the pattern of a note", LockUserRequestSchema, (note) => ({ id: "anna", note })],
  ["the pattern of a user name", SetUsernameSchema, (username) => ({ username })],
  ["the pattern of a phone number", SetPhoneSchema, (number) => ({ number })],
  ["the pattern of an event type", ListEventsRequestSchema, (type) => ({ types: [type] })],
])("%s accepts the same texts as the library's own engine", (_what, desc, of) => {
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

test("no pattern of the contract repeats a group, so matching takes linear time", () => {
  const folder = "proto/userlock/v3alpha";
  const contract = readdirSync(folder).map((file) => readFileSync(join(folder, file), "utf8"));
  const patterns = contract.flatMap((source) =>
    [...source.matchAll(/pattern(?:: | = )"([^"]*)"|matches\('([^']*)'\)/g)].map(([, one, other]) => one ?? other),
  );
  expect(patterns.length).toBeGreaterThan(4);
  for (const pattern of patterns) expect(pattern).not.toMatch(/\)[*+{]/);
});
