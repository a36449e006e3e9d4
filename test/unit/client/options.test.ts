// Proves that an option that is not allowed, such as an environment variable that is not set, fails at once and by name.
import { fastify } from "fastify";
import * as forConnect from "../../../packages/client/src/adapters/connect.ts";
import * as forExpress from "../../../packages/client/src/adapters/express.ts";
import * as forFastify from "../../../packages/client/src/adapters/fastify.ts";
import * as forGrpc from "../../../packages/client/src/adapters/grpc.ts";
import * as forHono from "../../../packages/client/src/adapters/hono.ts";
import { createGuard, type Guard, type GuardOptions } from "../../../packages/client/src/guard/guard.ts";
import { createUserlock, type UserlockOptions } from "../../../packages/client/src/index.ts";
import { createFakeGuard } from "../../../packages/client/src/testing.ts";

const jwt = { issuer: "https://issuer.example.com", audience: "app", jwks: { keys: [] } };
const GOOD = { url: "http://127.0.0.1:1", token: "a", jwt };
/** Not set, empty, or of another type. */
const NO_TEXT = [undefined, null, "", " ", 1, ["app"], {}];
const NO_NUMBER = [null, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1, "10", 2 ** 31];

/** The function throws a TypeError that names the option. */
function expectRefusal(name: string, work: () => unknown): void {
  expect(work).toThrow(TypeError);
  expect(work).toThrow(`${name}: must be `);
}

test.each([
  ["url", [undefined, null, "", "userlock", "ftp://127.0.0.1", "http://user:secret@127.0.0.1"]],
  ["token", [undefined, null, "", " ", "a b", "a\n", 1, {}]],
  ["introspect", [null, "true", 1]],
  ["whenStale", [null, "", "Deny", "open"]],
  ["maxStaleMs", NO_NUMBER],
  ["cacheMs", NO_NUMBER],
  ["maxCached", NO_NUMBER],
  ["timeoutMs", [...NO_NUMBER, 0]],
  ["organizationId", [null, "", " ", 1]],
  ["onDenied", [null, "log"]],
  ["onStale", [null, "log"]],
  ["onError", [null, "log"]],
])("createGuard refuses each other value of %s", (name, values) => {
  for (const value of values) expectRefusal(name, () => createGuard({ ...GOOD, [name]: value } as GuardOptions));
});

test.each([
  ["issuer", NO_TEXT],
  ["audience", NO_TEXT],
  [
    "jwks",
    [undefined, null, "", "keys.json", "file:///keys.json", {}, [], { keys: {} }, { keys: [1] }, { keys: [null] }],
  ],
])(
  "createGuard refuses each other value of jwt.%s, with which more JWTs would be accepted, or none",
  (name, values) => {
    for (const value of values) {
      const options = { ...GOOD, introspect: true, jwt: { ...jwt, [name]: value } } as GuardOptions;
      expectRefusal(`jwt.${name}`, () => createGuard(options));
    }
  },
);

test("createGuard refuses to accept no tokens at all", () => {
  expectRefusal("jwt or introspect", () => createGuard({ url: GOOD.url, token: "a" }));
  expectRefusal("jwt or introspect", () => createGuard({ url: GOOD.url, token: "a", introspect: false }));
});

test("createGuard accepts the least values, and options that are undefined", () => {
  const least = { maxStaleMs: 0, cacheMs: 0, maxCached: 0, timeoutMs: 1, organizationId: undefined };
  createGuard({ ...GOOD, ...least } as unknown as GuardOptions).close();
  createGuard({ ...GOOD, jwt: { ...jwt, jwks: new URL("https://issuer.example.com/keys") } }).close();
  createGuard({
    ...GOOD,
    token: () => "a",
    whenStale: undefined,
    maxStaleMs: undefined,
  } as unknown as GuardOptions).close();
});

test.each([
  ["token", [undefined, "", "a b"]],
  ["timeoutMs", NO_NUMBER],
  ["retry.attempts", [...NO_NUMBER, 0]],
  ["retry.firstMs", NO_NUMBER],
  ["retry.longestMs", NO_NUMBER],
])("createUserlock refuses each other value of %s", (name, values) => {
  const [group, option] = name.split(".") as [string, string | undefined];
  for (const value of values) {
    const changed = { [group]: option === undefined ? value : { [option]: value } };
    expectRefusal(name, () => createUserlock({ ...GOOD, ...changed } as UserlockOptions));
  }
});

test("no message shows a token", () => {
  expect(() => createUserlock({ ...GOOD, token: "secret secret" })).not.toThrow("secret");
});

describe("an adapter", () => {
  const guards = [undefined, null, {}, "guard"] as unknown as Guard[];

  test.each([
    ["Connect", forConnect.userlock],
    ["Express", forExpress.userlock],
    ["grpc-js", forGrpc.userlock],
    ["Hono", forHono.userlock],
  ])("for %s is not made without a guard, or with an empty name of a cookie", (_, userlock) => {
    for (const guard of guards) expectRefusal("guard", () => userlock(guard));
    expectRefusal("cookie", () => userlock(createFakeGuard(), { cookie: "" }));
  });

  test("for Fastify is not registered without a guard, or with an empty name of a cookie", async () => {
    const failed = async (options: object) => {
      const error = await fastify()
        .register(forFastify.userlock, options as { guard: Guard })
        .then(
          () => undefined,
          (cause: unknown) => cause,
        );
      expect(error).toBeInstanceOf(TypeError);
      return (error as Error).message;
    };
    for (const guard of guards) expect(await failed({ guard })).toMatch(/^guard: must be /);
    expect(await failed({})).toMatch(/^guard: must be /);
    expect(await failed({ guard: createFakeGuard(), cookie: "" })).toMatch(/^cookie: must be /);
  });

  test("for a Web Request rejects without a guard", async () => {
    const request = new Request("http://app.example.com/");
    for (const guard of guards) await expect(forHono.checkRequest(guard, request)).rejects.toThrow(TypeError);
  });
});
