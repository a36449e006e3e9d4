// Proves that watchers get every event once while servers are killed and connections break.
import { openStoreAt, STORES } from "../../support/stores/stores.ts";
import { killsAndResumes } from "../../support/watch/kills-and-resumes.ts";

test.each(STORES)(
  "on %s watchers get every event once, although a server is killed twice and they change servers",
  async (_name, makeStore) => {
    const place = await makeStore();
    const store = await openStoreAt(place.url);
    try {
      await killsAndResumes(place.url, store);
    } finally {
      await store.close();
      await place.remove();
    }
  },
  600_000,
);
