// Proves that what a guard knows of a session is forgotten with any event that can end it, and after a while.
import { setTimeout as sleep } from "node:timers/promises";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { createServerClock } from "../../../packages/client/src/guard/server-clock.ts";
import { createSessions, SESSION_PREFIX } from "../../../packages/client/src/guard/sessions.ts";
import { newSessionSecret } from "../../../src/auth/authenticate.ts";
import { eventually } from "../../support/client/eventually.ts";

const stop = new AbortController();
afterAll(() => stop.abort());

/** A server of the test, whose sessions have the tokens "USER-…". */
function open({ cacheMs = 60_000, maxCached = 10 } = {}) {
  const server = {
    questions: 0,
    ended: new Set<string>(),
    hold: Promise.resolve(),
    emit: (_userId: string) => {},
    cut: () => {},
  };
  let isOpen = false;
  const transport = createRouterTransport(({ service }) => {
    service(SessionService, {
      async introspectToken({ token }) {
        server.questions++;
        const active = !server.ended.has(token);
        await server.hold;
        return active ? { active, sub: token.split("-")[0] as string, exp: BigInt(4_000_000_000) } : { active };
      },
    });
    service(EventService, {
      async *watchEvents(_, { signal }) {
        const users: (string | undefined)[] = [];
        let wake = () => {};
        server.emit = (userId) => {
          users.push(userId);
          wake();
        };
        server.cut = () => {
          users.push(undefined);
          wake();
        };
        signal.addEventListener("abort", server.cut);
        isOpen = true;
        yield { cursor: "0" };
        for (;;) {
          while (users.length > 0) {
            const userId = users.shift();
            if (userId === undefined) {
              isOpen = false;
              return;
            }
            yield { cursor: "1", event: { userId } };
          }
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      },
    });
  });
  const clients = { sessions: createClient(SessionService, transport), events: createClient(EventService, transport) };
  const clock = createServerClock();
  const sessions = createSessions(clients, { cacheMs, maxCached, timeoutMs: 5_000, clock, signal: stop.signal });
  /** Asks until an answer is kept, and returns the number of questions since. */
  const warm = async (token: string) => {
    await eventually(async () => {
      await sessions.find(token, true);
      const before = server.questions;
      await sessions.find(token, true);
      return server.questions === before;
    });
  };
  return { server, sessions, warm, isOpen: () => isOpen };
}

test("an open session is asked about once, and an ended one each time", async () => {
  const { server, sessions, warm } = open();
  await warm("ann-1");
  const before = server.questions;
  for (let call = 0; call < 5; call++) expect(await sessions.find("ann-1", true)).toMatchObject({ userId: "ann" });
  expect(server.questions).toBe(before);
  server.ended.add("ann-2");
  expect(await sessions.find("ann-2", true)).toBeUndefined();
  expect(await sessions.find("ann-2", true)).toBeUndefined();
  expect(server.questions).toBe(before + 2);
});

test("an event of the user drops the user's sessions, and those of nobody else", async () => {
  const { server, sessions, warm } = open();
  for (const token of ["ann-1", "ann-2", "bob-1"]) await warm(token);
  server.ended.add("ann-1");
  server.emit("ann");
  await eventually(async () => (await sessions.find("ann-1", true)) === undefined);
  const before = server.questions;
  await sessions.find("bob-1", true);
  expect(server.questions).toBe(before);
  await sessions.find("ann-2", true);
  expect(server.questions).toBe(before + 1);
});

test("an answer that an event overtakes is not kept, and later calls do not share it", async () => {
  const { server, sessions, warm } = open();
  await warm("bob-1");
  let release = () => {};
  server.hold = new Promise((resolve) => {
    release = resolve;
  });
  const early = sessions.find("ann-1", true);
  await eventually(() => server.questions > 0);
  await sleep(5);
  server.ended.add("ann-1");
  sessions.forget("ann");
  const late = sessions.find("ann-1", true);
  release();
  expect(await early).toMatchObject({ userId: "ann" });
  expect(await late).toBeUndefined();
  expect(await sessions.find("ann-1", true)).toBeUndefined();
});

test("a call that needs a new answer shares none, and an event outdates the answers of all calls with its token", async () => {
  const { server, sessions, warm } = open();
  await warm("bob-1");
  const before = server.questions;
  let release = () => {};
  server.hold = new Promise((resolve) => {
    release = resolve;
  });
  const early = sessions.find("ann-1", true);
  const second = sessions.find("ann-1", false);
  await eventually(() => server.questions === before + 2);
  server.ended.add("ann-1");
  const late = sessions.find("ann-1", false);
  sessions.forget("ann");
  release();
  expect(await early).toMatchObject({ userId: "ann" });
  expect(await second).toMatchObject({ userId: "ann" });
  expect(await late).toBeUndefined();
  expect(await sessions.find("ann-1", true)).toBeUndefined();
});

test("the prefix of a session's token is the server's", () => {
  expect(newSessionSecret().slice(0, -43)).toBe(SESSION_PREFIX);
});

test("nothing is kept while the stream of events is away", async () => {
  const { server, sessions, warm, isOpen } = open();
  await warm("ann-1");
  server.cut();
  await eventually(() => !isOpen());
  await eventually(async () => {
    const before = server.questions;
    await sessions.find("ann-1", true);
    return server.questions > before;
  });
  // It is opened again.
  await warm("ann-1");
});

test("an answer is kept for cacheMs at most, and not used if the caller needs a new one", async () => {
  const { server, sessions, warm } = open({ cacheMs: 100 });
  await warm("ann-1");
  const before = server.questions;
  await sessions.find("ann-1", false);
  expect(server.questions).toBe(before + 1);
  server.ended.add("ann-1");
  await eventually(async () => (await sessions.find("ann-1", true)) === undefined);
});

test("only the most recently used sessions are kept", async () => {
  const { server, sessions, warm } = open({ maxCached: 2 });
  for (const token of ["ann-1", "bob-1"]) await warm(token);
  await sessions.find("ann-1", true);
  await warm("cleo-1");
  const before = server.questions;
  await sessions.find("ann-1", true);
  await sessions.find("cleo-1", true);
  expect(server.questions).toBe(before);
  await sessions.find("bob-1", true);
  expect(server.questions).toBe(before + 1);
});
