// Proves that tokens expire and are revoked.
import type { Role } from "../../../src/domain/access.ts";
import type { Occasion } from "../../../src/domain/aggregate.ts";
import { DomainError } from "../../../src/domain/errors.ts";
import {
  type AccessToken,
  accessToken,
  type TokenCommand,
  type TokenEvent,
  tokenClaim,
} from "../../../src/domain/token.ts";

const NOW = 1_764_000_000_000_000;
const occasion: Occasion = { time: NOW, actor: { subject: "operator" } };

const TOKEN: Omit<AccessToken, "revoked"> = {
  id: "t1",
  owner: { type: "instance", id: "default" },
  subject: "scanner",
  grants: [{ role: "ORG_VIEWER", organization: "a" }],
  hash: "c2hhLTI1Ng",
};

const created = (token: Partial<AccessToken> = {}): TokenEvent => ({
  type: "token.created",
  data: { ...TOKEN, ...token },
});
const revoked: TokenEvent = { type: "token.revoked", data: {} };
const create = (token: Partial<AccessToken> = {}): TokenCommand => ({ type: "create", token: { ...TOKEN, ...token } });

function fold(events: TokenEvent[]): AccessToken | undefined {
  let state: AccessToken | undefined;
  for (const event of events) state = accessToken.evolve(state, event, occasion);
  return state;
}

const DECISIONS: { name: string; given: TokenEvent[]; when: TokenCommand; expected: TokenEvent[] | string }[] = [
  { name: "a token is created", given: [], when: create(), expected: [created()] },
  {
    name: "one that ends a microsecond from now",
    given: [],
    when: create({ expires: NOW + 1 }),
    expected: [created({ expires: NOW + 1 })],
  },
  { name: "not one that ends now", given: [], when: create({ expires: NOW }), expected: "INVALID_REQUEST" },
  { name: "not one that has ended", given: [], when: create({ expires: NOW - 1 }), expected: "INVALID_REQUEST" },
  { name: "an id is used once", given: [created()], when: create(), expected: "TOKEN_ALREADY_EXISTS" },
  { name: "also that of a revoked one", given: [created(), revoked], when: create(), expected: "TOKEN_ALREADY_EXISTS" },
  {
    name: "whatever else is wrong with it",
    given: [created()],
    when: create({ expires: NOW }),
    expected: "TOKEN_ALREADY_EXISTS",
  },
  { name: "a token is revoked", given: [created()], when: { type: "revoke" }, expected: [revoked] },
  {
    name: "an expired one too",
    given: [created({ expires: NOW - 1 })],
    when: { type: "revoke" },
    expected: [revoked],
  },
  { name: "a revoked one is gone", given: [created(), revoked], when: { type: "revoke" }, expected: "TOKEN_NOT_FOUND" },
  { name: "there is none", given: [], when: { type: "revoke" }, expected: "TOKEN_NOT_FOUND" },
];

test.each(DECISIONS)("decide: $name", ({ given, when, expected }) => {
  const decide = () => accessToken.decide(fold(given), when, occasion);
  if (typeof expected === "string") expect(decide).toThrow(expect.objectContaining({ reason: expected }));
  else expect(decide()).toEqual(expected);
});

const ON_INSTANCE: Role[] = ["INSTANCE_OWNER", "INSTANCE_VIEWER", "LOGIN_CLIENT", "GATEWAY"];
const ON_ORGANIZATION: Role[] = ["ORG_OWNER", "ORG_USER_MANAGER", "ORG_VIEWER", "LOGIN_CLIENT", "GATEWAY"];

test.each([...ON_INSTANCE.map((role) => ({ role })), ...ON_ORGANIZATION.map((role) => ({ role, organization: "a" }))])(
  "a token with the grant %j is created",
  (grant) => {
    const command = create({ grants: [grant] });
    expect(accessToken.decide(undefined, command, occasion)).toEqual([created({ grants: [grant] })]);
  },
);

test.each<{ role: Role; organization?: string }>([
  { role: "INSTANCE_OWNER", organization: "a" },
  { role: "INSTANCE_VIEWER", organization: "a" },
  { role: "ORG_OWNER" },
  { role: "ORG_USER_MANAGER" },
  { role: "ORG_VIEWER" },
])("a token with the grant %j is refused, and the grant is pointed at", (grant) => {
  const command = create({ grants: [{ role: "GATEWAY" }, grant] });
  try {
    accessToken.decide(undefined, command, occasion);
    throw new Error("was not refused");
  } catch (error) {
    expect(error).toBeInstanceOf(DomainError);
    expect(error).toMatchObject({ reason: "INVALID_REQUEST", violations: [{ field: "grants[1]" }] });
  }
});

describe("evolve", () => {
  test("a created token is what was asked for, and not revoked", () => {
    expect(fold([created({ expires: NOW + 1 })])).toEqual({ ...TOKEN, expires: NOW + 1, revoked: false });
  });

  test("a revoked one keeps everything else", () => {
    expect(fold([created(), revoked])).toEqual({ ...TOKEN, revoked: true });
  });

  test("never throws, not even where the beginning is missing", () => {
    expect(() => fold([revoked])).not.toThrow();
  });
});

test("a token holds the hash of its secret until it is revoked", () => {
  expect(accessToken.claims(fold([created()]) as AccessToken)).toEqual([tokenClaim(TOKEN.hash)]);
  expect(accessToken.claims(fold([created(), revoked]) as AccessToken)).toEqual([]);
  expect(tokenClaim("one")).not.toBe(tokenClaim("other"));
});

test("a revoked token has ended, an expired one is still shown", () => {
  expect(accessToken.isGone(fold([created(), revoked]) as AccessToken)).toBe(true);
  expect(accessToken.isGone(fold([created({ expires: NOW - 1 })]) as AccessToken)).toBe(false);
});

test("a token is its owner's", () => {
  expect(accessToken.owner(fold([created()]) as AccessToken)).toEqual(TOKEN.owner);
});
