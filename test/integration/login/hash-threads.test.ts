// Proves that hashing uses the set number of threads at low priority.
import { readdirSync, readFileSync } from "node:fs";
import { hashesAtOnce } from "../../../src/app/hash-queue.ts";
import { openDoors } from "../../support/clients/doors.ts";
import { addUser, openSession } from "../../support/logins.ts";
import { startUserlock } from "../../support/servers/server-process.ts";

interface Thread {
  name: string;
  /** The nice value: 0 is the default, 19 the lowest priority. */
  nice: number;
}

/** The threads of a server that has hashed a password. */
async function threadsWith(hashThreads: number): Promise<Thread[]> {
  const server = await startUserlock({ USERLOCK_HASH_THREADS: `${hashThreads}` });
  const doors = openDoors(server.url);
  try {
    const [door] = doors as [(typeof doors)[0]];
    await openSession(door, await addUser(door, { id: "ann" }));
    const tasks = `/proc/${server.child.pid}/task`;
    return readdirSync(tasks).map((task) => ({
      name: readFileSync(`${tasks}/${task}/comm`, "utf8").trim(),
      // The 19th field (proc_pid_stat(5)). The second is the name in parentheses.
      nice: Number(readFileSync(`${tasks}/${task}/stat`, "utf8").split(") ")[1]?.split(" ")[16]),
    }));
  } finally {
    for (const each of doors) each.close();
    await server.stop();
  }
}

test("Node's pool has a thread for each concurrent hash, in addition to the threads for other work", async () => {
  expect((await threadsWith(9)).length - (await threadsWith(2)).length).toBe(hashesAtOnce(9) - hashesAtOnce(2));
});

test("the hashing threads have a lower priority than all others", async () => {
  const threads = await threadsWith(2);
  const isHashing = ({ name }: Thread) => name === "libuv-worker";
  const pool = threads.filter(isHashing);
  expect(pool.length).toBeGreaterThan(hashesAtOnce(2));
  expect(new Set(pool.map(({ nice }) => nice))).toEqual(new Set([10]));
  expect(new Set(threads.filter((thread) => !isHashing(thread)).map(({ nice }) => nice))).toEqual(new Set([0]));
});
