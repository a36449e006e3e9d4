// Proves that bulk commands retry their calls for a limited time.
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter, createClient, createRouterTransport } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { type BatchResultSchema, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { runBulk } from "../../../src/cli/bulk/bulk.ts";
import { callPage, type Patience, UsersLeft } from "../../../src/cli/bulk/calls.ts";
import { jobOf } from "../../support/commands.ts";
import { temporaryFolder } from "../../support/servers/server-process.ts";

type Result = MessageInitShape<typeof BatchResultSchema>;
const done = (id: string): Result => ({ id, outcome: { case: "details", value: {} } });
const failed = (id: string, code: Code, reason: string): Result => {
  const info = create(ErrorInfoSchema, { reason, domain: "userlock" });
  return { id, outcome: { case: "error", value: { code, message: "No.", details: [anyPack(ErrorInfoSchema, info)] } } };
};
const unreached = (id: string) => failed(id, Code.Unavailable, "STORE_UNAVAILABLE");
const contended = (id: string) => failed(id, Code.Aborted, "CONCURRENT_CHANGE");

/** A server that uses the answers in turn, and repeats the last one. */
function serving(...answers: ((id: string) => Result)[]) {
  const calls: string[][] = [];
  const routes = (router: ConnectRouter) =>
    router.service(UserService, {
      batchLockUsers({ ids }) {
        const answer = answers[Math.min(calls.length, answers.length - 1)] as (id: string) => Result;
        calls.push(ids);
        return { results: ids.map(answer) };
      },
    });
  return { routes, calls };
}

function patienceOf(milliseconds: number) {
  const waits: string[] = [];
  const stop = new AbortController();
  const onWait = (why: string) => waits.push(why);
  const patience: Patience = { stop: stop.signal, onWait, milliseconds };
  return { patience, waits, stop };
}

const IDS = ["ann", "bob", "cat"];
const job = jobOf("lock", IDS);
const page = ({ routes }: ReturnType<typeof serving>, patience: Patience) =>
  callPage(createClient(UserService, createRouterTransport(routes)), job, { ids: IDS }, "key", patience);

const onlyBob = (otherwise: (id: string) => Result) => (id: string) => (id === "bob" ? otherwise(id) : done(id));

describe("callPage", () => {
  test("retries only the users that could not be reached", async () => {
    const server = serving(onlyBob(unreached), contended, done);
    const { patience, waits } = patienceOf(60_000);
    const { results } = await page(server, patience);
    expect(results.map(({ id, outcome }) => [id, outcome.case])).toEqual(IDS.map((id) => [id, "details"]));
    expect(server.calls).toEqual([IDS, ["bob"], ["bob"]]);
    expect(waits).toEqual(["1 user could not be reached"]);
  });

  test.each([
    ["unreached", unreached, "STORE_UNAVAILABLE"],
    ["contended", contended, "CONCURRENT_CHANGE"],
  ])("rejects when its patience ends and a user is still %s", async (_what, how, reason) => {
    const server = serving(onlyBob(how));
    const started = performance.now();
    const call = page(server, patienceOf(1_000).patience);
    await expect(call).rejects.toThrow(UsersLeft);
    await expect(call).rejects.toMatchObject({ reason });
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(server.calls.length).toBeGreaterThan(1);
  });

  test("rejects after the first answer without patience", async () => {
    const server = serving(onlyBob(unreached));
    await expect(page(server, patienceOf(0).patience)).rejects.toThrow(UsersLeft);
    expect(server.calls).toHaveLength(1);
  });

  test("rejects at once when it is aborted", async () => {
    const { patience, stop } = patienceOf(60_000);
    const server = serving(onlyBob(unreached));
    const started = performance.now();
    patience.onWait = () => stop.abort();
    await expect(page(server, patience)).rejects.toThrow(UsersLeft);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  test("reports each answered call", async () => {
    let answers = 0;
    const { patience } = patienceOf(60_000);
    const server = serving(onlyBob(unreached), done);
    await page(server, { ...patience, onAnswer: () => answers++ });
    expect(answers).toBe(2);
  });

  test("does not retry a permanent refusal", async () => {
    const refuse = () => {
      throw new ConnectError("No.", Code.PermissionDenied);
    };
    const server = serving(refuse);
    await expect(page(server, patienceOf(60_000).patience)).rejects.toMatchObject({ code: Code.PermissionDenied });
    expect(server.calls).toHaveLength(1);
  });
});

test("after Ctrl-C during retries of a page, the same command starts again with that page", async () => {
  const folder = temporaryFolder();
  const place = folder.file("place");
  const ids = Array.from({ length: 2_500 }, (_, index) => `user-${index}`);
  const last = ids.at(-1) as string;
  const isLastReached = { value: false };
  const server = serving((id) => (id === last && !isLastReached.value ? unreached(id) : done(id)));
  const http = createServer(connectNodeAdapter({ routes: server.routes })).listen(0, "127.0.0.1");
  await once(http, "listening");
  const env = {
    USERLOCK_URL: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    USERLOCK_TOKEN: "a-token",
  };

  async function run() {
    const stop = new AbortController();
    let printed = "";
    let stderr = "";
    const code = await runBulk(jobOf("lock", [...ids, "--resume", place]), {
      env,
      isInteractive: false,
      stdin: async function* () {},
      stdout: { write: (text: string) => (printed += text) },
      stderr: {
        write(text: string) {
          stderr += text;
          if (text.startsWith("waiting")) stop.abort();
        },
      },
      stop: stop.signal,
    });
    return { code, stdout: printed, stderr };
  }

  try {
    const cut = await run();
    expect(cut).toMatchObject({ code: 130, stdout: "" });
    expect(cut.stderr).toContain("stopped after 2,000 of 2,500 users; run the same command again");
    expect(JSON.parse(readFileSync(place, "utf8"))).toMatchObject({ page: 2, done: 2_000 });

    isLastReached.value = true;
    const { code, stderr } = await run();
    expect(code).toBe(0);
    expect(stderr).toMatch(/continuing after 2,000 users\nlocked 2,500; locked before 0; failed 0 /);
    expect(server.calls.at(-1)).toEqual(ids.slice(2_000));
    expect(existsSync(place)).toBe(false);
  } finally {
    http.closeAllConnections();
    http.close();
    folder.remove();
  }
});
