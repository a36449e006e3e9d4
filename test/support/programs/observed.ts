import { startServer, temporaryFolder } from "../servers/server-process.ts";
import { holdWrites } from "../stores/held-file.ts";
import { startRelay } from "../stores/relay.ts";
import { usersOf } from "../users.ts";

/**
 * Addresses for a client program that a test watches. Three lead through a relay to one server. At the fourth,
 * `HELD_USER` cannot be changed, because another process holds the store's file.
 */
export async function startObserved(server: string) {
  const [host = "", port] = server.split(":");
  const [gzip, watched, pinged] = (await Promise.all(
    Array.from({ length: 3 }, () => startRelay({ host, port: Number(port) })),
  )) as [Relay, Relay, Relay];
  const folder = temporaryFolder();
  const file = folder.file("userlock.db");
  const slow = await startServer({ USERLOCK_STORE: `sqlite:${file}` });
  const heldUser = await usersOf(slow.url).add();
  const held = holdWrites(file);
  return {
    environment: {
      GZIP_ADDRESS: gzip.address,
      WATCHED_ADDRESS: watched.address,
      PINGED_ADDRESS: pinged.address,
      HELD_ADDRESS: new URL(slow.url).host,
      HELD_USER: heldUser,
    },
    /** What the relays have seen so far. */
    seen: { gzip: gzip.seen, watched: watched.seen, pinged: pinged.seen },
    async stop() {
      held.release();
      await Promise.all([gzip.stop(), watched.stop(), pinged.stop(), slow.stop()]);
      folder.remove();
    },
  };
}

type Relay = Awaited<ReturnType<typeof startRelay>>;
