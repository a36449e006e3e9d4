// Proves that userlock sessions and policy show and change what a running server keeps.
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { runUserlock } from "../../support/servers/run-userlock.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

let server: ServerProcess;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server?.stop());

const userlock = (args: string[], stdin: string[] = [], terminal = {}) =>
  runUserlock(args, { USERLOCK_URL: server.url, USERLOCK_TOKEN: ADMIN_TOKEN }, { stdin, terminal });
const good = async (...args: string[]) => {
  const answer = await userlock(args);
  expect(answer).toMatchObject({ code: 0 });
  return answer;
};

async function logIn(userId: string): Promise<string> {
  const client = createClient(SessionService, createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" }));
  const login = { user: { case: "userId" as const, value: userId }, password: "correct horse battery staple" };
  const { sessionId } = await client.createSession(login, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
  return sessionId;
}

test("sessions lists the sessions of a user, and sessions end ends one or all", async () => {
  await userlock(["user", "create", "ann", "--password-file", "-"], ["correct horse battery staple"]);
  const ids = [await logIn("ann"), await logIn("ann"), await logIn("ann")];
  const listed = async () =>
    (await good("sessions", "ann")).stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.split("\t")[0]);
  expect(await listed()).toEqual(["ID", ...ids]);
  expect(await good("sessions", "list", "ann")).toEqual(await good("sessions", "ann"));
  expect(await good("sessions", "--output", "json", "ann")).toEqual(await good("sessions", "ann", "--output", "json"));
  const json = (await good("sessions", "ann", "--output", "json")).stdout.trimEnd().split("\n");
  expect(json.map((line) => JSON.parse(line).details.id)).toEqual(ids);

  const [first] = ids as [string];
  expect(await good("sessions", "end", "--session", first)).toMatchObject({ stderr: `ended session ${first}\n` });
  expect(await listed()).toEqual(["ID", ...ids.slice(1)]);
  const kept = await userlock(["sessions", "end", "ann"], ["\n"], { isTTY: true });
  expect(kept).toMatchObject({ code: 1, stderr: "End all sessions of ann? [y/N] Nothing was changed.\n" });
  expect(await good("sessions", "end", "ann")).toMatchObject({ stdout: "", stderr: "ended all sessions of ann\n" });
  expect(await listed()).toEqual(["ID"]);
});

test("policy set replaces the policy, show shows the policy in force, and reset removes it", async () => {
  const shown = async (...args: string[]) =>
    Object.fromEntries(
      (await good("policy", "show", ...args)).stdout
        .trimEnd()
        .split("\n")
        .map((line) => line.split(/ {2,}/) as [string, string]),
    );
  const defaults = {
    "max attempts": "5",
    window: "15m",
    "lock duration": "1m",
    "max lock duration": "1h",
    "known devices pass": "yes",
    "reveal lock": "no",
    "set here": "nothing, all is inherited",
  };
  expect(await shown()).toEqual(defaults);
  await good(
    ...["policy", "set", "--max-attempts", "3", "--window", "90s", "--lock-duration", "2d"],
    ...["--max-lock-duration", "0", "--known-devices-pass", "no", "--reveal-lock", "yes", "--organization", "acme"],
  );
  expect(await shown("--organization", "acme")).toEqual({
    "max attempts": "3",
    window: "90s",
    "lock duration": "2d",
    "max lock duration": "none: locks last until an unlock",
    "known devices pass": "no",
    "reveal lock": "yes",
    "set here": "max attempts, window, lock duration, max lock duration, known devices pass, reveal lock",
  });
  await good("policy", "set", "--max-attempts", "0", "--organization", "acme");
  expect(await shown("--organization", "acme")).toEqual({
    ...defaults,
    "max attempts": "0: wrong passwords do not lock",
    "set here": "max attempts",
  });
  const json = await good("policy", "show", "--organization", "acme", "--output", "json");
  expect(JSON.parse(json.stdout)).toMatchObject({ policy: { maxAttempts: 0, window: "900s" } });
  expect(await good("policy", "reset", "--organization", "acme")).toMatchObject({
    stderr: "reset the policy of the organization acme\n",
  });
  expect(await shown("--organization", "acme")).toEqual(defaults);
});

test.each([
  [["sessions"], "a command is missing: list, end"],
  [["sessions", "end"], "give USER or --session"],
  [["sessions", "end", "ann", "--session", "x"], "give USER or --session"],
  [["policy", "set"], "give at least one value"],
  [["policy", "set", "--organization", "acme"], "give at least one value"],
  [["policy", "set", "--max-attempts", "100"], '--max-attempts must be a number from 0 to 99, not "100"'],
  [["policy", "set", "--window", "0"], "--window must be a number with a unit"],
  [["policy", "set", "--reveal-lock", "true"], '--reveal-lock must be one of yes, no, not "true"'],
])("%j is refused with: %s", async (args, says) => {
  const answer = await userlock(args);
  expect(answer).toMatchObject({ code: 64, stdout: "" });
  expect(answer.stderr).toContain(says);
});
