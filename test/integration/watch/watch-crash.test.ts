// Proves that watchers miss nothing and get nothing twice while servers are killed and connections break.
import { openStoreAt, STORES } from "../../support/stores/stores.ts";
import { killsAndResumes } from "../../support/watch/kills-and-resumes.ts";

test.each(STORES)(
  "%s: a server that is killed twice, lost connections, another server: no gap, nothing twice",
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
