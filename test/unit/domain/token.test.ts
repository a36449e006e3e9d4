// Proves that tokens are created, expire and are revoked.
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
  { name: "a token is created from its command", given: [], when: create(), expected: [created()] },
  {
    name: "a token is created that expires a microsecond from now",
    given: [],
    when: create({ expires: NOW + 1 }),
    expected: [created({ expires: NOW + 1 })],
  },
  {
    name: "a token that expires now is refused",
    given: [],
    when: create({ expires: NOW }),
    expected: "INVALID_REQUEST",
  },
  {
    name: "a token that has already expired is refused",
    given: [],
    when: create({ expires: NOW - 1 }),
    expected: "INVALID_REQUEST",
  },
  {
    name: "the id of an existing token is refused",
    given: [created()],
    when: create(),
    expected: "TOKEN_ALREADY_EXISTS",
  },
  {
    name: "the id of a revoked token is refused",
    given: [created(), revoked],
    when: create(),
    expected: "TOKEN_ALREADY_EXISTS",
  },
  {
    name: "a used id is refused before any other error of the request",
    given: [created()],
    when: create({ expires: NOW }),
    expected: "TOKEN_ALREADY_EXISTS",
  },
  { name: "an active token is revoked", given: [created()], when: { type: "revoke" }, expected: [revoked] },
  {
    name: "an expired token is revoked",
    given: [created({ expires: NOW - 1 })],
    when: { type: "revoke" },
    expected: [revoked],
  },
  {
    name: "a revoked token is not found",
    given: [created(), revoked],
    when: { type: "revoke" },
    expected: "TOKEN_NOT_FOUND",
  },
  { name: "an unknown token is not found", given: [], when: { type: "revoke" }, expected: "TOKEN_NOT_FOUND" },
];

test.each(DECISIONS)("$name", ({ given, when, expected }) => {
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
])("a token with the grant %j is refused with the field of the grant", (grant) => {
  const command = create({ grants: [{ role: "GATEWAY" }, grant] });
  try {
    accessToken.decide(undefined, command, occasion);
    throw new Error("decide did not refuse the grant");
  } catch (error) {
    expect(error).toBeInstanceOf(DomainError);
    expect(error).toMatchObject({ reason: "INVALID_REQUEST", violations: [{ field: "grants[1]" }] });
  }
});

describe("the state of a token", () => {
  test("has the content of its creation and is not revoked", () => {
    expect(fold([created({ expires: NOW + 1 })])).toEqual({ ...TOKEN, expires: NOW + 1, revoked: false });
  });

  test("keeps everything else after a revocation", () => {
    expect(fold([created(), revoked])).toEqual({ ...TOKEN, revoked: true });
  });

  test("can be built without the event of its creation", () => {
    expect(() => fold([revoked])).not.toThrow();
  });
});

test("a token claims the hash of its secret until it is revoked", () => {
  expect(accessToken.claims(fold([created()]) as AccessToken)).toEqual([tokenClaim(TOKEN.hash)]);
  expect(accessToken.claims(fold([created(), revoked]) as AccessToken)).toEqual([]);
  expect(tokenClaim("one")).not.toBe(tokenClaim("other"));
});

test("a revoked token is gone, and an expired one is still shown", () => {
  expect(accessToken.isGone(fold([created(), revoked]) as AccessToken)).toBe(true);
  expect(accessToken.isGone(fold([created({ expires: NOW - 1 })]) as AccessToken)).toBe(false);
});

test("a token has the owner of its creation", () => {
  expect(accessToken.owner(fold([created()]) as AccessToken)).toEqual(TOKEN.owner);
});
