// Proves that Expect: 100-continue is answered as RFC 9110, section 10.1.1 requires.
import { exchange, type HttpRequest } from "../../support/clients/http.ts";
import { WIRES } from "../../support/clients/wires.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

/** The server asks for the content when it is about to read it. */
let server: ServerProcess;

beforeAll(async () => {
  server = await startServer();
});

afterAll(() => server?.stop());

/** Sends the content only after the server asks for it. */
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

describe.each([1, 2] as const)("100-continue over HTTP/%i", (version) => {
  const wires = WIRES.filter((wire) => version === 2 || wire.name !== "gRPC");

  test.each(wires)("is sent for a call of $name with a valid token", async (wire) => {
    const { isAsked, answer } = await send({ ...wire.request(wire.encode({})), version });
    expect({ isAsked, outcome: wire.read(answer) }).toMatchObject({ isAsked: true, outcome: { code: "OK" } });
  });

  test.each(wires)("is not sent for a call of $name with an invalid token", async (wire) => {
    const request = wire.request(wire.encode({}));
    const headers = { ...request.headers, authorization: "Bearer nobody-has-this-token" };
    const { isAsked, answer } = await send({ ...request, version, headers });
    const outcome = { code: "UNAUTHENTICATED", reason: "TOKEN_INVALID" };
    expect({ isAsked, outcome: wire.read(answer) }).toMatchObject({ isAsked: false, outcome });
  });

  test.each<[string, object, Record<string, string>]>([
    ["sent with a valid bearer token", { isAsked: true, answer: { status: 200 } }, bearer(ADMIN_TOKEN)],
    ["sent if the form can contain the client's secret", { isAsked: true, answer: { status: 401 } }, {}],
    ["not sent with an invalid bearer token", { isAsked: false, answer: { status: 401 } }, bearer("nobody")],
    [
      "not sent with invalid Basic credentials",
      { isAsked: false, answer: { status: 401 } },
      { authorization: "Basic YTpi" },
    ],
  ])("for an introspection form is %s", async (_what, expected, authorization) => {
    const headers = { "content-type": "application/x-www-form-urlencoded", ...authorization };
    const form = { version, path: "/oauth/v2/introspect", headers, body: Buffer.from("token=none") };
    expect(await send(form)).toMatchObject(expected);
  });

  test("is not sent for a request without a route", async () => {
    const nowhere = { version, path: "/resources/v3alpha/nothing", body: Buffer.from("{}") };
    expect(await send(nowhere)).toMatchObject({ isAsked: false, answer: { status: 404 } });
  });
});

function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}
