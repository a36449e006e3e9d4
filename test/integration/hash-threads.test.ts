import { readdirSync } from "node:fs";
import { hashesAtOnce } from "../../src/app/hash-queue.ts";
import { openDoors } from "../support/doors.ts";
import { addUser, CHEAP_HASHES, openSession } from "../support/logins.ts";
import { startServer } from "../support/server-process.ts";

/** Threads of a server that has hashed a password. */
async function threadsWith(hashThreads: number): Promise<number> {
  const server = await startServer({ ...CHEAP_HASHES, USERLOCK_HASH_THREADS: `${hashThreads}` });
  const doors = openDoors(server.url);
  try {
    const [door] = doors as [(typeof doors)[0]];
    await openSession(door, await addUser(door, { id: "ann" }));
    return readdirSync(`/proc/${server.child.pid}/task`).length;
  } finally {
    for (const each of doors) each.close();
    await server.stop();
  }
}

test("Node's pool has a thread for each password that is hashed at once, beside those for files and names", async () => {
  expect((await threadsWith(9)) - (await threadsWith(2))).toBe(hashesAtOnce(9) - hashesAtOnce(2));
});
