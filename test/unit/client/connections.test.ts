// Proves that open streams and slow calls leave each other connections.
import { createUserlock } from "../../../packages/client/src/index.ts";
import { eventually } from "../../support/client/eventually.ts";
import { startFakeServer } from "../../support/client/fake-server.ts";

/** More than the connections of one kind. */
const MANY = 140;

test("many open streams keep no call waiting, and many slow calls no stream", async () => {
  const server = await startFakeServer();
  const userlock = createUserlock({ url: server.url, token: "a", timeoutMs: 5_000 });
  const streams = Array.from({ length: MANY }, () => userlock.events.watchEvents({})[Symbol.asyncIterator]());
  await Promise.all(streams.map((stream) => stream.next()));
  expect(server.watching).toBe(MANY);
  await userlock.authz.authorize({});

  server.hold = () => new Promise(() => {});
  const slow = Array.from({ length: MANY }, () => userlock.authz.authorize({}).catch(() => {}));
  await eventually(() => server.authorized > 100);
  const another = userlock.events.watchEvents({})[Symbol.asyncIterator]();
  expect(await another.next()).toMatchObject({ done: false });

  const ends = [...streams, another].map((stream) => stream.next().catch(() => {}));
  userlock.close();
  await Promise.all([...slow, ...ends]);
  await server.stop();
});
