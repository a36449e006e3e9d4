// Proves that published browser clients can watch events.
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, Page } from "playwright-core";
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { openDoors } from "../support/clients/doors.ts";
import { addUser, asOwner, ok } from "../support/logins.ts";
import { bundle, launchChromium } from "../support/servers/chromium.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../support/servers/server-process.ts";
import type { Way } from "./watch-page.ts";

const { lockUser, unlockUser } = UserService.method;

const folder = temporaryFolder();
let server: ServerProcess;
let site: Server;
let origin: string;
let browser: Browser;
let page: Page;
/** The Last-Event-ID of each of the browser's requests for events. */
const resumed: (string | undefined)[] = [];

const start = (listen: string) =>
  startServer({
    USERLOCK_LISTEN: listen,
    USERLOCK_STORE: `sqlite:${folder.file("userlock.db")}`,
    USERLOCK_CORS_ORIGINS: origin,
  });

beforeAll(async () => {
  const script = await bundle("test/interop/watch-page.ts");
  site = createServer((incoming, response) => {
    if (incoming.url === "/events") return handOn(incoming, response);
    const [type, body] =
      incoming.url === "/page.js"
        ? ["text/javascript", script]
        : ["text/html", '<!doctype html><script src="/page.js"></script>'];
    response.writeHead(200, { "content-type": `${type}; charset=utf-8` }).end(body);
  });
  await new Promise<void>((resolve) => site.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
  server = await start("127.0.0.1:0");
  browser = await launchChromium();
  page = await browser.newPage();
  await page.goto(origin);
});

afterAll(async () => {
  await browser?.close();
  site?.closeAllConnections();
  site?.close();
  await server?.stop();
  folder.remove();
});

/** A proxy like a console's server: it adds its own token and passes on the events. */
function handOn({ headers }: IncomingMessage, response: ServerResponse): void {
  const id = headers["last-event-id"];
  resumed.push(id as string | undefined);
  const upstream = request(`${server.url}/resources/v3alpha/events/_watch`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, ...(id !== undefined && { "last-event-id": id }) },
  });
  upstream.on("response", (answer) => {
    response.writeHead(answer.statusCode as number, answer.headers);
    answer.pipe(response);
    answer.on("error", () => response.destroy());
  });
  upstream.on("error", () => response.destroy());
  response.on("close", () => upstream.destroy());
  upstream.end();
}

const follow = (way: Way) =>
  page.evaluate(([name, url, token]) => window.watching.follow(name, url, token), [
    way,
    server.url,
    ADMIN_TOKEN,
  ] as const);
const notes = (way: Way) => page.evaluate((name) => window.watching.notes[name] ?? [], way);

async function noted(way: Way, text: string): Promise<string[]> {
  for (let waited = 0; waited < 5_000; waited += 20) {
    const all = await notes(way);
    if (all.includes(text)) return all;
    await sleep(20);
  }
  return notes(way);
}

let users = 0;
async function newUser() {
  const [door] = openDoors(server.url);
  const id = await addUser(door!, { id: `u${++users}`, password: "" });
  return {
    id,
    lock: () => door!.call(lockUser, { id }, asOwner).then(ok),
    unlock: () => door!.call(unlockUser, { id }, asOwner).then(ok),
  };
}

test.each<Way>(["connect-web, gRPC-Web", "connect-web, Connect JSON", "grpc-web, grpcwebtext"])(
  "%s receives a lock while the stream is open",
  async (way) => {
    const user = await newUser();
    await follow(way);
    expect(await noted(way, "alive")).toEqual(["alive"]);
    await user.lock();
    expect(await noted(way, `user.locked ${user.id}`)).toEqual(["alive", `user.locked ${user.id}`]);
  },
);

test("EventSource receives a lock, and resumes at its last event after a lost connection", async () => {
  const user = await newUser();
  await follow("EventSource");
  await noted("EventSource", "open");
  await user.lock();
  expect(await noted("EventSource", `user.locked ${user.id}`)).toEqual(["open", `user.locked ${user.id}`]);

  await server.stop("SIGKILL");
  server = await start(new URL(server.url).host);
  await user.unlock();
  await noted("EventSource", `user.unlocked ${user.id}`);
  const other = await newUser();
  const all = await noted("EventSource", `user.created ${other.id}`);
  expect(all.filter((note) => note !== "open")).toEqual([
    `user.locked ${user.id}`,
    `user.unlocked ${user.id}`,
    `user.created ${other.id}`,
  ]);
  const [first, ...more] = resumed;
  expect(first).toBeUndefined();
  expect(more.length).toBeGreaterThan(0);
  expect(more.every((id) => id !== undefined)).toBe(true);
});
