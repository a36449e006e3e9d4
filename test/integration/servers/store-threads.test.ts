// Proves that the store of a server runs in few threads.
import { setTimeout as sleep } from "node:timers/promises";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { openDoors } from "../../support/clients/doors.ts";
import { asOwner, ok, readLog, seconds, typesOf } from "../../support/logins.ts";
import { startServer, temporaryFolder } from "../../support/servers/server-process.ts";
import type { Report } from "../../support/stores/report-connections.ts";

const { createUser, lockUser, searchUsers } = UserService.method;

const folder = temporaryFolder();
afterAll(folder.remove);

test.each([
  ["that only expires locks has one thread for its store", false, 1],
  ["with searches has two threads for its store", true, 2],
])("a server %s", async (what, isSearched, threads) => {
  const file = folder.file(`${what}.db`);
  const server = await startServer({
    USERLOCK_STORE: `sqlite:${file}`,
    NODE_OPTIONS: "--import ./test/support/stores/report-connections.ts",
  });
  const doors = openDoors(server.url);
  const [door] = doors as [(typeof doors)[0]];
  ok(await door.call(createUser, { user: { userId: "ann" } }, asOwner));
  ok(await door.call(lockUser, { id: "ann", end: { case: "duration", value: seconds(1) } }, asOwner));
  if (isSearched) ok(await door.call(searchUsers, {}, asOwner));
  for (let waited = 0; readLog(file, "ann").length < 3 && waited < 5_000; waited += 50) await sleep(50);
  expect(typesOf(readLog(file, "ann"))).toEqual(["user.created", "user.locked", "user.unlocked"]);
  for (const each of doors) each.close();
  await server.stop();

  const reports = server
    .stderr()
    .split("\n")
    .filter((line) => line.startsWith('{"moment"'));
  const closed = reports.map((line): Report => JSON.parse(line)).filter(({ moment }) => moment === "close");
  expect(closed.filter(({ thread }) => thread === "worker")).toHaveLength(threads);
});
