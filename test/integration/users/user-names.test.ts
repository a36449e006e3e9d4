// Proves that user names are unique within their scope, and that logins and searches agree on them.
import { create } from "@bufbuild/protobuf";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import {
  type SearchFilter,
  SearchFilterSchema,
  TextFilterMethod,
  UserService,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { addUser, asOwner, byName, inOrganization, logIn, ok, outcomeOf, refused } from "../../support/logins.ts";
import { QUICK, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { type EmptyStore, SHARED_KEY, STORES } from "../../support/stores/stores.ts";

const { getSession } = SessionService.method;
const { addUsername, createUser, removeUsername, searchUsers } = UserService.method;
const TAKEN = "ALREADY_EXISTS USERNAME_TAKEN";

/** A user of an organization or the instance, with a name in the organization only or in the instance. */
type Named = { organization?: string; isSpecific?: boolean };
const IN_A: Named = { organization: "a" };
const IN_B: Named = { organization: "b" };
const IN_INSTANCE: Named = {};
const only = (named: Named): Named => ({ ...named, isSpecific: true });

/** Two users, one of whom has the name, and whether the other may have it too. */
const PAIRS: [one: Named, other: Named, mayHave: boolean][] = [
  [IN_A, IN_A, false],
  [IN_A, only(IN_A), false],
  [only(IN_A), only(IN_A), false],
  [IN_A, IN_B, false],
  [IN_A, only(IN_B), true],
  [only(IN_A), only(IN_B), true],
  [IN_INSTANCE, IN_INSTANCE, false],
  [IN_INSTANCE, IN_A, false],
  [IN_INSTANCE, only(IN_A), true],
];
const BOTH_ORDERS = PAIRS.flatMap(([one, other, may]) => [[one, other, may] as const, [other, one, may] as const]);

describe.each(STORES)("on %s", (_, make) => {
  let place: EmptyStore;
  let servers: ServerProcess[] = [];
  /** The doors of both servers. */
  let doors: Door[][] = [];
  let door: Door;

  beforeAll(async () => {
    place = await make();
    const settings = { ...SHARED_KEY, USERLOCK_STORE: place.url };
    servers = await Promise.all([startServer(settings, QUICK), startServer(settings, QUICK)]);
    doors = servers.map(({ url }) => openDoors(url));
    door = doors[0]?.find(({ name }) => name === "gRPC, UserService") as Door;
  });
  afterAll(async () => {
    for (const each of doors.flat()) each.close();
    for (const server of servers) await server.stop();
    await place?.remove();
  });

  let count = 0;
  const newName = () => `name-${++count}`;
  const newUser = (organization: string | undefined) =>
    addUser(door, { id: `user-${++count}`, ...(organization !== undefined && { organization }) });
  const give = (at: Door, id: string, username: string, { isSpecific = false }: Named) =>
    at.call(addUsername, { id, username: { username, isOrganizationSpecific: isSpecific } }, asOwner);

  /** The user who logs in with this name. */
  async function reached(username: string, organization?: string): Promise<string | undefined> {
    const place = organization === undefined ? {} : inOrganization(organization);
    const { response } = await logIn(door, { ...byName(username), ...place });
    if (!response) return undefined;
    const { sessionId } = response;
    return (await door.call(getSession, { sessionId }, asOwner)).response?.session?.userId;
  }

  describe.each(["REST", "Connect JSON, UserService", "gRPC, ZITADELUsers"])("over %s", (name) => {
    test.each(BOTH_ORDERS)("a name of %j allows the same name for %j: %p", async (one, other, mayHave) => {
      const at = doors[0]?.find((candidate) => candidate.name === name) as Door;
      const username = newName();
      const first = await newUser(one.organization);
      const second = await newUser(other.organization);
      ok(await give(at, first, username, one));
      expect(outcomeOf(await give(at, second, username.toUpperCase(), other))).toBe(mayHave ? "OK" : TAKEN);
      const request = {
        ...(other.organization !== undefined && inOrganization(other.organization)),
        user: {
          userId: `user-${++count}`,
          authenticators: { usernames: [{ username, isOrganizationSpecific: other.isSpecific ?? false }] },
        },
      };
      // A third user may not have the name in either case.
      expect(outcomeOf(await at.call(createUser, request, asOwner))).toBe(TAKEN);
      if (one.organization !== undefined) expect(await reached(username, one.organization)).toBe(first);
      if (!one.isSpecific) expect(await reached(username)).toBe(first);
    });
  });

  test.each(PAIRS.filter(([, , mayHave]) => !mayHave))(
    "of two concurrent assignments at two servers one succeeds: %j and %j",
    async (one, other) => {
      for (let round = 0; round < 5; round++) {
        const username = newName();
        const [first, second] = [await newUser(one.organization), await newUser(other.organization)];
        const there = doors[1]?.find(({ name }) => name === door.name) as Door;
        const answers = await Promise.all([give(door, first, username, one), give(there, second, username, other)]);
        expect(answers.map(outcomeOf).sort()).toEqual([TAKEN, "OK"]);
      }
    },
  );

  test("a removed name is free in the instance and in the organization", async () => {
    const username = newName();
    const [first, second] = [await newUser("a"), await newUser("a")];
    const answer = await give(door, first, username, IN_A);
    refused(await give(door, second, username, only(IN_A)), "ALREADY_EXISTS", "USERNAME_TAKEN");
    ok(await door.call(removeUsername, { id: first, usernameId: answer.response!.usernameId }, asOwner));
    ok(await give(door, second, username, only(IN_A)));
    expect(await reached(username, "a")).toBe(second);
    expect(await reached(username)).toBeUndefined();
  });

  describe("a search that ignores case finds what a login finds", () => {
    test.each([
      ["case", "Ann.Frank", "ANN.FRANK"],
      ["a final sigma", "Οδυσσεύς", "ΟΔΥΣΣΕΎΣ"],
      ["a final sigma that is typed as any sigma", "Νίκος", "νίκοσ"],
      ["NFC and NFD", "Zoë", "Zoe\u0308"],
      ["NFD and NFC", "Rene\u0301", "RENÉ"],
      ["NFKC", "ﬁona", "FIONA"],
      ["width", "ｔａｒｏ", "Taro"],
      ["a sharp s", "Strauß", "STRAUSS"],
    ])("if they differ in %s", async (_what, username, typed) => {
      const id = await newUser(undefined);
      ok(await give(door, id, username, {}));
      const found = async (value: string, method: TextFilterMethod) => {
        const filter = { case: "usernameFilter", value: { username: value, method } } as SearchFilter["filter"];
        const filters = [create(SearchFilterSchema, { filter })];
        const { response } = await door.call(searchUsers, { filters }, asOwner);
        return response?.result.map(({ details }) => details?.id);
      };
      for (const way of [username, typed]) {
        expect(await reached(way)).toBe(id);
        expect(await found(way, TextFilterMethod.EQUALS_IGNORE_CASE)).toEqual([id]);
        expect(await found(way.normalize("NFC").slice(0, 3), TextFilterMethod.STARTS_WITH_IGNORE_CASE)).toEqual([id]);
        expect(await found(way.normalize("NFC").slice(1), TextFilterMethod.CONTAINS_IGNORE_CASE)).toEqual([id]);
      }
    });
  });
});
