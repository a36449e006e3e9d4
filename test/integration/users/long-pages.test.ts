// Proves that pages of large users are small enough for any client.
import { toBinary } from "@bufbuild/protobuf";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { FieldName, TextFilterMethod, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { asOwner, ok } from "../../support/logins.ts";
import { runUserlock } from "../../support/servers/run-userlock.ts";
import { QUICK, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { type EmptyStore, SHARED_KEY, STORES } from "../../support/stores/stores.ts";

const { createUser, searchUsers, batchLockUsers, patchUser } = UserService.method;
const { listEvents } = EventService.method;
/** The default limit of gRPC clients for a message, in bytes. */
const MAX_RECEIVED = 4 * 1024 * 1024;

const IDS = Array.from({ length: 25 }, (_, index) => `u${String(index).padStart(2, "0")}`);
/** The JSON of this length that is longest in Protobuf. */
const dataOf = (digit: number) => ({ list: Array(30_000).fill(digit) });

describe.each(STORES)("on %s, with users whose data has the maximum size", (_, makeStore) => {
  let place: EmptyStore;
  let server: ServerProcess;
  let doors: Door[] = [];

  beforeAll(async () => {
    place = await makeStore();
    server = await startServer({ ...SHARED_KEY, USERLOCK_STORE: place.url }, QUICK);
    doors = openDoors(server.url);
    for (const userId of IDS) ok(await doorOf("REST").call(createUser, { user: { userId, data: dataOf(1) } }, asOwner));
    for (const id of IDS) ok(await doorOf("REST").call(patchUser, { id, user: { data: dataOf(2) } }, asOwner));
  });
  afterAll(async () => {
    for (const door of doors) door.close();
    await server.stop();
    await place.remove();
  });

  const doorOf = (wanted: string) => doors.find(({ name }) => name === wanted) as Door;

  test.each(["gRPC, UserService", "REST"])(
    "SearchUsers over %s returns each user once, by applied_limit, on pages of less than 4 MiB",
    async (name) => {
      const found: (string | undefined)[] = [];
      for (let offset = 0n; ; ) {
        const request = { query: { offset, limit: 1_000 }, sortingColumn: FieldName.ID };
        const { code, response } = await doorOf(name).call(searchUsers, request, asOwner);
        expect(code).toBe("OK");
        const { details, result } = response!;
        expect(toBinary(searchUsers.output, response!).byteLength).toBeLessThan(MAX_RECEIVED);
        expect(details!.totalResult).toBe(BigInt(IDS.length));
        found.push(...result.map((user) => user.details?.id));
        offset += BigInt(result.length);
        if (offset === details!.totalResult) break;
        expect(details!.appliedLimit).toBe(BigInt(result.length));
      }
      expect(found).toEqual(IDS);
    },
  );

  test("ListEvents returns each event once by next_cursor", async () => {
    const found: string[] = [];
    let pages = 0;
    for (let cursor = ""; ; pages++) {
      const request = { cursor, limit: 1_000, oldestFirst: true, types: ["user.created", "user.patched"] };
      const { response } = await doorOf("gRPC, UserService").call(listEvents, request, asOwner);
      found.push(...response!.events.map(({ objectId, type }) => `${type} ${objectId}`));
      cursor = response!.nextCursor;
      if (cursor === "") break;
    }
    expect(found).toEqual([...IDS.map((id) => `user.created ${id}`), ...IDS.map((id) => `user.patched ${id}`)]);
    expect(pages).toBeGreaterThanOrEqual(4);
  });

  test("BatchLockUsers locks each user by next_cursor", async () => {
    const locked: string[] = [];
    const startsWithU = { case: "userIdFilter", value: { id: "u", method: TextFilterMethod.STARTS_WITH } } as const;
    for (let cursor = ""; ; ) {
      const request = { filters: [{ filter: startsWithU }], limit: 1_000, cursor };
      const { code, response } = await doorOf("gRPC, UserService").call(batchLockUsers, request, asOwner);
      expect(code).toBe("OK");
      for (const { id, outcome } of response!.results) if (outcome.case === "details") locked.push(id);
      cursor = response!.nextCursor;
      if (cursor === "") break;
    }
    expect(locked).toEqual(IDS);
  });

  test("admin list --locked lists each user", async () => {
    const { stdout } = await runUserlock(["admin", "list", "--locked"], { ...SHARED_KEY, USERLOCK_STORE: place.url });
    expect(
      stdout
        .trim()
        .split("\n")
        .map((line) => line.split("\t")[0]),
    ).toEqual(["ID", ...IDS]);
  });
});
