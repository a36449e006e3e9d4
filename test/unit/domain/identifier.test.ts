// Proves that every protocol can carry a valid identifier, and that system subjects are reserved.
import { create } from "@bufbuild/protobuf";
import { GetUserRequestSchema } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import {
  IDENTIFIER_RULE,
  isIdentifier,
  isSystemSubject,
  operatorOn,
  USERLOCK,
} from "../../../src/domain/identifier.ts";
import { accessToken } from "../../../src/domain/token.ts";
import { user } from "../../../src/domain/user.ts";
import { createRequestValidator } from "../../../src/rpc/validator.ts";
import { createPathOf } from "../../../src/transport/http/request-path.ts";
import { timeAt } from "../../support/user-story.ts";

describe("the domain, the contract and REST paths agree", () => {
  const validator = createRequestValidator();
  const pathOf = createPathOf();
  const printable = Array.from({ length: 127 - 33 }, (_, index) => String.fromCharCode(33 + index));
  const texts = [...printable, ...printable.map((text) => `x${text}x`), ".", "..", "...", ".x", "", "x".repeat(200)];

  test.each([...texts, "x".repeat(201), " ", "a b", "ä", "a\n"])("on whether %j is an identifier", (id) => {
    const { violations } = validator.validate(GetUserRequestSchema, create(GetUserRequestSchema, { id }));
    expect(violations?.map(({ message }) => message) ?? []).toEqual(
      isIdentifier(id) ? [] : [`must be ${IDENTIFIER_RULE}`],
    );
    if (!isIdentifier(id)) return;
    const target = `/users/${id}/_lock`;
    expect(pathOf({ target, authority: "localhost", scheme: "http" })).toMatchObject({ path: target, query: "" });
  });
});

const OWN = [USERLOCK, operatorOn("host"), operatorOn("db-1.example.com"), "admin@", "Userlock", "ADMIN@host"];
const SEEMING = [" userlock", "userlock ", " admin@host"];
const OTHERS = ["admin", "userlocks", "userlock@host", "sysadmin@host", "ann@admin.example.com", "u-1", ""];

const occasion = { time: timeAt(0), actor: { subject: "operator" } };
const owner = { type: "instance", id: "default" } as const;
const INVALID = expect.objectContaining({ reason: "INVALID_REQUEST" });

describe("a system subject", () => {
  test.each([...OWN, ...SEEMING])("includes %j", (subject) => {
    expect(isSystemSubject(subject)).toBe(true);
  });

  test.each(OTHERS)("does not include %j", (subject) => {
    expect(isSystemSubject(subject)).toBe(false);
  });

  test.each(OWN)("cannot be the subject of a token: %s", (subject) => {
    const token = { id: "t1", owner, subject, grants: [], hash: "hash" };
    expect(() => accessToken.decide(undefined, { type: "create", token }, occasion)).toThrow(INVALID);
  });

  test.each(OWN)("cannot be the id of a user: %s", (id) => {
    const create = { type: "create", id, owner, profile: {}, usernames: [] } as const;
    expect(() => user.decide(undefined, { ...create, usernames: [] }, occasion)).toThrow(INVALID);
  });
});
