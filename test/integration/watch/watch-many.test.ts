// Proves that 1,000 watchers get every event.
import { fromBinary } from "@bufbuild/protobuf";
import { WatchEventsResponseSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { addUser, asOwner, ok } from "../../support/logins.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { type EmptyStore, STORES } from "../../support/stores/stores.ts";
import { type ManyWatchers, openManyWatchers } from "../../support/watch/many-watchers.ts";

const WATCHERS = 1_000;
const { lockUser, unlockUser, getUser } = UserService.method;

describe.each(STORES)("on %s", (_name, makeStore) => {
  let place: EmptyStore;
  let server: ServerProcess;
  let door: Door;
  let many: ManyWatchers;

  beforeAll(async () => {
    place = await makeStore();
    server = await startServer({ USERLOCK_STORE: place.url });
    door = openDoors(server.url).find(({ name }) => name === "gRPC, UserService")!;
    many = await openManyWatchers(server.url, { token: ADMIN_TOKEN, count: WATCHERS, keep: true });
  });

  afterAll(async () => {
    many?.close();
    door?.close();
    expect(await server?.stop()).toBe(0);
    await place?.remove();
  });

  test(`${WATCHERS} watchers of one server get every event in the same bytes`, async () => {
    const id = await addUser(door, { id: "victim", password: "" });
    const ROUNDS = 5;
    for (let round = 0; round < ROUNDS; round++) {
      ok(await door.call(lockUser, { id, reason: `round-${round}` }, asOwner));
      ok(await door.call(unlockUser, { id }, asOwner));
    }
    await many.allHave(1 + 1 + 2 * ROUNDS);
    const [first, ...others] = many.received.map((messages) => Buffer.concat(messages.slice(1)));
    expect(others.filter((bytes) => !bytes.equals(first!))).toHaveLength(0);
    const events = many.received[0]!.slice(1).map((bytes) => fromBinary(WatchEventsResponseSchema, bytes).event!.type);
    expect(events).toEqual(["user.created", ...Array(ROUNDS).fill(["user.locked", "user.unlocked"]).flat()]);
  });

  test("other callers are served during the events", async () => {
    const got = many.received[0]!.length;
    const times: number[] = [];
    for (let call = 0; call < 20; call++) {
      ok(await door.call(call % 2 ? unlockUser : lockUser, { id: "victim" }, asOwner));
      const start = performance.now();
      ok(await door.call(getUser, { id: "victim" }, asOwner));
      times.push(performance.now() - start);
    }
    await many.allHave(got + 20);
    expect(Math.max(...times)).toBeLessThan(3_000);
  });

  test("the server works normally after all watchers leave at once", async () => {
    many.close();
    ok(await door.call(lockUser, { id: "victim" }, asOwner));
    many = await openManyWatchers(server.url, { token: ADMIN_TOKEN, count: WATCHERS });
    ok(await door.call(unlockUser, { id: "victim" }, asOwner));
    await many.allHave(2);
  });
});
