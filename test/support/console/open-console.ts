import { openDoors } from "../clients/doors.ts";
import type { ServerProcess } from "../servers/server-process.ts";
import { openBrowser } from "./browser.ts";

/** A server, a door to it for set-up calls, and a browser. All of them end after the tests of the file. */
export async function openConsole<Server extends Pick<ServerProcess, "url" | "stop">>(start: () => Promise<Server>) {
  const server = await start();
  const doors = openDoors(server.url);
  const closeAll = async () => {
    for (const each of doors) each.close();
    await server.stop();
  };
  const browser = await openBrowser().catch(async (error) => {
    // Jest runs no hook of a file that fails to load.
    await closeAll();
    throw error;
  });
  // The browser refuses to close quietly if a page wrote to its console.
  afterAll(() => browser.close().finally(closeAll));
  return { server, door: doors[0]!, browser };
}
