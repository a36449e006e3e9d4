// Proves that a served process logs its settings and each change, and that a stop loses no line.
import { ADMIN_TOKEN, startUserlock } from "../../support/servers/server-process.ts";

const KEY = Buffer.alloc(32, "a-secret-key").toString("base64");

test("the log begins with the settings, has a line for each change, and is whole after a stop", async () => {
  const server = await startUserlock({ USERLOCK_SECRET_KEY: KEY });
  const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const call = (path: string, body: object, headers = {}) =>
    fetch(`${server.url}/resources/v3alpha/users${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
  const ids = Array.from({ length: 40 }, (_, index) => `u${index}`);
  await Promise.all(ids.map((userId) => call("", { userId })));
  await call("/_search", {});
  const { status } = await call("/u0/_lock", { reason: "fraud" }, { "x-request-id": "r-1", traceparent });
  expect(status).toBe(200);
  await server.stop();

  const lines = server
    .stderr()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.map(({ msg }) => msg)).toEqual([
    "starting",
    "serving",
    ...ids.map(() => "call"),
    "call",
    "stopping",
    "stopped",
  ]);
  const [{ settings }] = lines;
  expect(settings).toMatchObject({ USERLOCK_SECRET_KEY: "(hidden)", USERLOCK_ACCESS_LOG: "changes" });
  expect(server.stderr()).not.toContain(KEY);
  const calls = lines.filter(({ msg }) => msg === "call");
  expect(
    calls
      .slice(0, -1)
      .map(({ user }) => user)
      .toSorted(),
  ).toEqual(ids.toSorted());
  expect(calls.at(-1)).toMatchObject({
    method: "userlock.v3alpha.UserService/LockUser",
    system: "http",
    code: "OK",
    user: "u0",
    address: "127.0.0.1",
    requestId: "r-1",
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
  });
});
