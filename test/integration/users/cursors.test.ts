// Proves that SearchUsers by cursor returns each user once, whatever changes meanwhile.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { FieldName, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import type { EventStore } from "../../../src/store/port.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { asOwner, ok } from "../../support/logins.ts";
import { QUICK, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { change, NOW } from "../../support/stores/appends.ts";
import { type EmptyStore, openStoreAt, SHARED_KEY, STORES } from "../../support/stores/stores.ts";

const { searchUsers, lockUser, patchUser } = UserService.method;
type Request = MessageInitShape<typeof searchUsers.input>;

const USERS = 2_500;
const idOf = (index: number) => `u${String((index * 7_919) % USERS).padStart(4, "0")}`;

/** Users with many equal and many missing values. */
function stateOf(index: number, id: string): object {
  return {
    id,
    owner: { type: "instance", id: "default" },
    lifecycle: index % 7 === 0 ? "inactive" : "active",
    usernames: [],
    ...(index % 3 > 0 && { email: { address: `n${index % 1_000}@example.com`, verified: true } }),
    ...(index % 5 > 0 && { phone: { number: `+41 ${index % 100}`, verified: false } }),
    ...(index % 4 > 0 && { schemaId: `s${index % 6}`, schemaType: `t${index % 9}` }),
    ...(index % 11 === 0 && { lock: { cause: "manual", reason: "fraud", note: "", by: "operator", since: NOW } }),
  };
}

const COLUMNS = Object.values(FieldName).filter((value) => typeof value === "number");
const ORDERS = COLUMNS.flatMap((column) => [false, true].map((desc): [FieldName, boolean] => [column, desc]));

describe.each(STORES)("on %s, with 2,500 users", (_, makeStore) => {
  let place: EmptyStore;
  let server: ServerProcess;
  let store: EventStore;
  let doors: Door[] = [];

  beforeAll(async () => {
    place = await makeStore();
    server = await startServer({ ...SHARED_KEY, USERLOCK_STORE: place.url }, QUICK);
    doors = openDoors(server.url);
    store = await openStoreAt(place.url);
    const users = Array.from({ length: USERS }, (_, index) => idOf(index));
    await Promise.all(
      users.map((id, index) =>
        store.append(change(id, { state: stateOf(index, id), time: NOW + Math.floor(index / 3) })),
      ),
    );
  });
  afterAll(async () => {
    for (const door of doors) door.close();
    await store.close();
    await server.stop();
    await place.remove();
  });

  const call = (method: Parameters<Door["call"]>[0], request: Record<string, unknown>, name = "gRPC, UserService") =>
    doors.find((door) => door.name === name)!.call(method, request, asOwner);
  const search = async (request: Request, name?: string) =>
    (await call(searchUsers, request, name)) as Awaited<ReturnType<typeof call>> & {
      response?: { result: { details?: { id: string } }[]; nextCursor: string; details?: { totalResult: bigint } };
    };
  const idsOf = (found: Awaited<ReturnType<typeof search>>) =>
    (found.response?.result ?? []).map(({ details }) => details?.id ?? "");

  test.each(ORDERS)(
    "returns each unchanged user once by column %s, descending %s, while others change",
    async (sortingColumn, desc) => {
      const changed = new Set<string>();
      const seen: string[] = [];
      for (let cursor = "", page = 0; ; page++) {
        const found = await search({ query: { limit: 999, desc }, sortingColumn, cursor, skipTotal: true });
        expect(found.code).toBe("OK");
        expect(found.response?.details?.totalResult).toBe(0n);
        seen.push(...idsOf(found));
        cursor = found.response?.nextCursor ?? "";
        if (cursor === "") break;
        const one = idOf((page * 1_237 + sortingColumn * 31 + Number(desc)) % USERS);
        const other = seen.at(-1) as string;
        for (const [id, address] of [
          [one, `changed${page}@example.com`],
          [other, `a${page}@example.com`],
        ] as const) {
          ok(
            await call(patchUser, {
              id,
              user: { contact: { email: { address }, phone: { number: `+41 44 ${1_000_000 + page}` } } },
            }),
          );
          changed.add(id);
        }
        await call(lockUser, { id: one });
      }
      const unchanged = (ids: string[]) => ids.filter((id) => !changed.has(id)).sort();
      expect(unchanged(seen)).toEqual(unchanged(Array.from({ length: USERS }, (_, index) => idOf(index))));
    },
  );

  test("returns the same page by cursor as by offset, on every protocol, with the total unless it is skipped", async () => {
    for (const name of doors.map((door) => door.name)) {
      const order = { sortingColumn: FieldName.EMAIL, query: { limit: 50, desc: true } };
      const first = await search(order, name);
      const second = await search({ ...order, cursor: first.response?.nextCursor ?? "" }, name);
      const byOffset = await search({ ...order, query: { ...order.query, offset: 50n } }, name);
      expect(idsOf(second)).toEqual(idsOf(byOffset));
      expect(second.response?.details?.totalResult).toBe(BigInt(USERS));
    }
  });

  test("has no next cursor on the last page", async () => {
    const filters = [{ filter: { case: "userIdFilter" as const, value: { id: idOf(1) } } }];
    expect((await search({ filters, query: { limit: 1 } })).response).toMatchObject({ nextCursor: "" });
  });

  test.each<[what: string, request: (cursor: string) => Request]>([
    ["a cursor with an offset", (cursor) => ({ cursor, query: { offset: 1n } })],
    ["a cursor of another column", (cursor) => ({ cursor, sortingColumn: FieldName.EMAIL })],
    ["a cursor of the other direction", (cursor) => ({ cursor, query: { desc: true } })],
    ["a text that is no cursor", () => ({ cursor: "AAAA" })],
    ["a cursor that was changed", (cursor) => ({ cursor: `${cursor.slice(0, 20)}AAA${cursor.slice(23)}` })],
  ])("refuses %s", async (_what, request) => {
    const { response } = await search({ query: { limit: 1 } });
    expect(await search(request(response?.nextCursor ?? ""))).toMatchObject({ reason: "INVALID_REQUEST" });
  });
});
