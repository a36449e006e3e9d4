import { openSqliteStore } from "../../src/store/sqlite.ts";
import { killsAndResumes } from "../support/kills-and-resumes.ts";
import { temporaryFolder } from "../support/server-process.ts";

const folder = temporaryFolder();
afterAll(() => folder.remove());

test("SQLite: 10,000 events, a server that is killed twice, connections that are lost: no gap, nothing twice", async () => {
  const file = folder.file("userlock.db");
  await killsAndResumes({ store: `sqlite:${file}`, openStore: () => openSqliteStore(file, "default") });
}, 120_000);
