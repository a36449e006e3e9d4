// Proves that Expect: 100-continue is answered as RFC 9110 says.
import { exchange, type HttpRequest } from "../../support/clients/http.ts";
import { WIRES } from "../../support/clients/wires.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

/** Who waits to be asked for his content is asked when it is about to be read (RFC 9110, section 10.1.1). */
let server: ServerProcess;

beforeAll(async () => {
  server = await startServer();
});

afterAll(() => server?.stop());

/** Sends the content once the server asks for it, and only then. */
async function send(request: HttpRequest & { body: Buffer }) {
  let isAsked = false;
  async function* content() {
    isAsked = true;
    yield request.body;
  }
  const headers = { ...request.headers, expect: "100-continue" };
  const answer = await exchange(server.url, { ...request, headers, body: content() });
  return { isAsked, answer };
}

describe.each([1, 2] as const)("over HTTP/%i", (version) => {
  const wires = WIRES.filter((wire) => version === 2 || wire.name !== "gRPC");

  test.each(wires)("the content of a call of $name is asked for if its sender is let in", async (wire) => {
    const { isAsked, answer } = await send({ ...wire.request(wire.encode({})), version });
    expect({ isAsked, outcome: wire.read(answer) }).toMatchObject({ isAsked: true, outcome: { code: "OK" } });
  });

  test.each(wires)("the content of a call of $name is not asked for if he is not", async (wire) => {
    const request = wire.request(wire.encode({}));
    const headers = { ...request.headers, authorization: "Bearer nobody-has-this-token" };
    const { isAsked, answer } = await send({ ...request, version, headers });
    const outcome = { code: "UNAUTHENTICATED", reason: "TOKEN_INVALID" };
    expect({ isAsked, outcome: wire.read(answer) }).toMatchObject({ isAsked: false, outcome });
  });

  test.each<[string, object, Record<string, string>]>([
    ["asked for if its sender is let in", { isAsked: true, answer: { status: 200 } }, bearer(ADMIN_TOKEN)],
    ["asked for if its client may send its secret in it", { isAsked: true, answer: { status: 401 } }, {}],
    ["not asked for if its bearer is not let in", { isAsked: false, answer: { status: 401 } }, bearer("nobody")],
    [
      "not asked for if its client is not let in",
      { isAsked: false, answer: { status: 401 } },
      { authorization: "Basic YTpi" },
    ],
  ])("a form with a token to look at is %s", async (_what, expected, authorization) => {
    const headers = { "content-type": "application/x-www-form-urlencoded", ...authorization };
    const form = { version, path: "/oauth/v2/introspect", headers, body: Buffer.from("token=none") };
    expect(await send(form)).toMatchObject(expected);
  });

  test("the content of a request that goes nowhere is not asked for", async () => {
    const nowhere = { version, path: "/resources/v3alpha/nothing", body: Buffer.from("{}") };
    expect(await send(nowhere)).toMatchObject({ isAsked: false, answer: { status: 404 } });
  });
});

function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}
