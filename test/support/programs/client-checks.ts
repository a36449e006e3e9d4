import { countPings } from "../clients/http2-frames.ts";
import { startObserved } from "./observed.ts";
import type { Program } from "./program.ts";
import { startRestarting, startServers } from "./servers.ts";

/** What a client program checks by itself. Its lines of JSON have these names. */
const CHECKS = [
  "locks a user, and reads from ErrorInfo why a second lock is refused",
  "reads from ErrorInfo that the token is missing",
  "gets each lock once from a stream that resumes after a cursor",
  "ends a call and a stream at their deadlines",
  "reads from ErrorInfo that a message is too large, and calls again",
  "locks a user over TLS, and trusts no other certificate",
  "makes 1,000 calls at once on one channel",
];
const WATCHES_APART = "watches on a connection of its own";
const COMPRESSES = "sends and reads messages in gzip";
const PINGS = "keeps its connection with pings for 60 seconds";
const RESTARTS = ["has no error while the server restarts", "gets each lock once while the server restarts"];

const GZIP = Buffer.from([0x1f, 0x8b, 0x08]);
/** How long a restarting server does not listen. */
const DOWN_MS = 2_000;

type Mode = "checks" | "restart";
/** Starts a client program that makes all checks, or those of a restart. */
export type StartClient = (mode: Mode, environment: Record<string, string>) => Program;

/** Tests of a client program. It pings for a minute while the other tests run, as do the other programs of the file. */
export function testClient(client: string, start: StartClient, { pingsAtLeast }: { pingsAtLeast: number }): void {
  const opened: { stop(): Promise<void> }[] = [];
  const keep = <Opened extends { stop(): Promise<void> }>(one: Opened) => {
    opened.unshift(one);
    return one;
  };
  let seen: Awaited<ReturnType<typeof startObserved>>["seen"];
  let program: Program;

  beforeAll(async () => {
    const servers = keep(await startServers());
    const observed = keep(await startObserved(servers.environment.ADDRESS));
    ({ seen } = observed);
    program = keep(start("checks", { ...servers.environment, ...observed.environment }));
  });

  afterAll(async () => {
    for (const one of opened) await one.stop();
  });

  test.each(CHECKS)(`${client} %s`, (check) => program.passed(check));

  test(`${client} ${WATCHES_APART}`, async () => {
    await program.passed(WATCHES_APART);
    expect(seen.watched.connections).toBe(2);
  });

  test(`${client} ${COMPRESSES}`, async () => {
    await program.passed(COMPRESSES);
    for (const bytes of [seen.gzip.toServer, seen.gzip.toClient]) {
      expect(bytes.includes(GZIP)).toBe(true);
      expect(bytes.includes("x".repeat(100))).toBe(false);
    }
  });

  test(`${client} ${RESTARTS.join(", and ")}`, async () => {
    const server = keep(await startRestarting());
    const restarted = keep(start("restart", server.environment));
    // It has locked users, and goes on until its input ends and it has locked more.
    await restarted.ready("restart");
    await server.restart(DOWN_MS);
    restarted.endInput();
    for (const check of RESTARTS) await restarted.passed(check);
    expect(await restarted.ended()).toEqual(RESTARTS);
  });

  test(`${client} ${PINGS}`, async () => {
    await program.passed(PINGS);
    expect(countPings(seen.pinged.toServer, "ping")).toBeGreaterThanOrEqual(pingsAtLeast);
    expect(countPings(seen.pinged.toClient, "answer")).toBeGreaterThanOrEqual(pingsAtLeast);
    expect(seen.pinged.connections).toBe(1);
  });

  test(`${client} ends with 0, and reports nothing else`, async () => {
    expect((await program.ended()).sort()).toEqual([...CHECKS, WATCHES_APART, COMPRESSES, PINGS].sort());
  });
}
