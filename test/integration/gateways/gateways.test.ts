// Proves that nginx, Caddy and HAProxy with the files of deploy/gateways let nobody through to the app whom userlock
// refuses, or cannot check.
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import pg from "pg";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { startApp } from "../../support/gateways/app.ts";
import { environmentOf, type Gateway, KINDS, type Places, startGateway } from "../../support/gateways/gateways.ts";
import { IDENTITY_HEADERS } from "../../support/gateways/identity-headers.ts";
import { openVisitor, visitHttp2 } from "../../support/gateways/visit.ts";
import { addUser, asOwner, ok, openSession } from "../../support/logins.ts";
import { makeCertificate } from "../../support/servers/certificate.ts";
import { runCommand } from "../../support/servers/command.ts";
import { type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";
import { newDatabase } from "../../support/stores/postgres.ts";

const ISSUER = "https://issuer.example.com";
const NAMES = Object.keys(KINDS);

/** The longest values that userlock takes. A header has twelve characters for each of the name, and three for each "%". */
const LONG = { id: "l".repeat(200), name: "😀".repeat(200), email: `${"%".repeat(188)}@example.com` };

const folder = temporaryFolder();
const tokens: Record<string, string> = {};
let app: Awaited<ReturnType<typeof startApp>>;
let store: string;
let server: ServerProcess;
let places: Places;
let doors: Door[] = [];
let door: Door;
let ca: Buffer;
let jwt: (sub: string) => Promise<string>;
const gateways = new Map<string, Gateway & ReturnType<typeof openVisitor>>();
const gatewayOf = (name: string) => gateways.get(name) as Gateway & ReturnType<typeof openVisitor>;

beforeAll(async () => {
  const keys = await generateKeyPair("ES256");
  const jwks = folder.file("jwks.json");
  writeFileSync(jwks, JSON.stringify({ keys: [{ ...(await exportJWK(keys.publicKey)), kid: "k", alg: "ES256" }] }));
  jwt = (sub) =>
    new SignJWT({ iss: ISSUER, aud: "userlock", sub, exp: Math.floor(Date.now() / 1000) + 300 })
      .setProtectedHeader({ alg: "ES256", kid: "k" })
      .sign(keys.privateKey);
  ({ url: store } = await newDatabase());
  const token = "gateway-secret-0123456789";
  const certificate = await makeCertificate(folder);
  ca = certificate.cert;
  [app, server] = await Promise.all([
    startApp(),
    startServer({
      USERLOCK_STORE: store,
      USERLOCK_JWT_ISSUER: ISSUER,
      USERLOCK_JWT_AUDIENCE: "userlock",
      USERLOCK_JWKS: jwks,
      USERLOCK_AUTHZ_TOKEN: token,
      USERLOCK_LOGIN_ORIGINS: "https://login.example.com",
      USERLOCK_CONNECTIONS_PER_ADDRESS: "0",
    }),
  ]);
  const { certFile: cert, settings } = certificate;
  places = { userlock: new URL(server.url).host, app: app.address, cert, key: settings.USERLOCK_TLS_KEY, token };
  doors = openDoors(server.url);
  door = doors.find(({ name }) => name === "REST") as Door;
  await addUser(door, { id: "ada", names: [["Ada Žižka, MA"]] });
  await addUser(door, { id: "locked" });
  await addUser(door, { id: LONG.id, names: [[LONG.name]] });
  const contact = { email: { address: LONG.email } };
  ok(await door.call(UserService.method.patchUser, { id: LONG.id, user: { contact } }, asOwner));
  for (const id of ["ada", "locked", LONG.id]) tokens[id] = (await openSession(door, id)).sessionToken;
  tokens.jwt = await jwt("ada");
  tokens["locked jwt"] = await jwt("locked");
  ok(await door.call(UserService.method.lockUser, { id: "locked" }, asOwner));
  await Promise.all(
    NAMES.map(async (name) => {
      const gateway = await startGateway(name, folder.file(name), places);
      gateways.set(name, { ...gateway, ...openVisitor(gateway.port, ca) });
    }),
  );
});

afterAll(async () => {
  for (const gateway of gateways.values()) {
    gateway.close();
    await gateway.stop();
  }
  for (const each of doors) each.close();
  await server?.stop("SIGKILL");
  await app?.stop();
  folder.remove();
});

const bearer = (token: string | undefined) => ["authorization", `Bearer ${token}`] as const;
const cookie = (token: string | undefined, name = "__Host-session") => ["cookie", `a=b; ${name}=${token}`] as const;
const HTML = ["accept", "text/html,*/*"] as const;
/** The requests that the app has got since this was called. */
function arrivalsSince() {
  const before = app.arrivals.length;
  return () => app.arrivals.slice(before);
}

describe.each(NAMES)("%s", (name) => {
  test("finds no mistake in its files, and does in wrong ones", async () => {
    const { program, check, files } = KINDS[name] as (typeof KINDS)[string];
    const main = folder.file(`${name}/${files[0]}`);
    const env = environmentOf(folder.path, places);
    const run = (path: string) => runCommand(program, check(path), [], { env });
    const { code, stderr } = await run(main);
    // Caddy warns of settings that are meant: no admin endpoint, no automatic certificates.
    expect([
      code,
      stderr.split("\n").filter((line) => /\[warn|emerg|alert|"level":"error"|not formatted/i.test(line)),
    ]).toEqual([0, []]);
    const wrong = folder.file(`${name}/wrong`);
    writeFileSync(
      wrong,
      readFileSync(main, "utf8").replaceAll(/reverse_proxy|proxy_pass|http-reuse/g, "reverse_proxies"),
    );
    expect((await run(wrong)).code).not.toBe(0);
  });

  test.each([
    ["a session", () => [bearer(tokens.ada)], "ada"],
    ["a session in the cookie", () => [cookie(tokens.ada)], "ada"],
    ["a JWT of the issuer", () => [bearer(tokens.jwt)], "ada"],
    ["a JWT in the cookie", () => [cookie(tokens.jwt)], "ada"],
  ])("passes %s, and shows the app who it is in the documented encoding", async (what, headers, user) => {
    const { status, body } = await gatewayOf(name).visit({ path: "/a?b=c", headers: headers() });
    const arrived = JSON.parse(body);
    expect([status, arrived.method, arrived.url]).toEqual([200, "GET", "/a?b=c"]);
    expect(arrived.headers).toMatchObject({
      "x-auth-request-user": user,
      "x-auth-request-preferred-username": "Ada%20%C5%BDi%C5%BEka%2C%20MA",
      "x-userlock-expires": expect.stringMatching(/^20\d\d-.*Z$/),
      "remote-user": user,
    });
    expect(decodeURIComponent(arrived.headers["x-auth-request-preferred-username"])).toBe("Ada Žižka, MA");
    expect(arrived.headers["x-userlock-session"] ?? "").toMatch(what.includes("session") ? /^\d+$/ : /^$/);
    expect(arrived.headers["x-request-id"]).toMatch(/./);
  });

  test("passes the longest names that userlock takes, whole", async () => {
    const { status, body } = await gatewayOf(name).visit({
      headers: [bearer(tokens[LONG.id]), ["x-request-id", "r".repeat(100)]],
    });
    expect(status).toBe(200);
    const { headers } = JSON.parse(body);
    const shown = ["user", "preferred-username", "email"].map((each) => headers[`x-auth-request-${each}`]);
    expect(shown.map(decodeURIComponent)).toEqual([LONG.id, LONG.name, LONG.email]);
  });

  test.each([
    ["no token", () => [], 'Bearer realm="userlock"'],
    ["a bad token", () => [bearer("nonsense")], 'Bearer realm="userlock", error="invalid_token"'],
    ["the session of a locked user", () => [bearer(tokens.locked)], 'Bearer realm="userlock", error="invalid_token"'],
    ["the same in the cookie", () => [cookie(tokens.locked)], 'Bearer realm="userlock", error="invalid_token"'],
    ["a JWT of a locked user", () => [bearer(tokens["locked jwt"])], 'Bearer realm="userlock", error="invalid_token"'],
    ["a token in another cookie", () => [cookie(tokens.ada, "session")], 'Bearer realm="userlock"'],
  ])("refuses %s with the challenge, and does not show why", async (_what, headers, challenge) => {
    const arrived = arrivalsSince();
    for (const method of ["GET", "HEAD", "POST", "OPTIONS"]) {
      const { status, headers: shown } = await gatewayOf(name).visit({ method, headers: headers() });
      expect([method, status, shown["www-authenticate"]]).toEqual([method, 401, challenge]);
      expect(Object.keys(shown).filter((each) => /^x-(userlock|auth)/.test(each))).toEqual([]);
    }
    expect(arrived()).toEqual([]);
  });

  test("sends browsers without a good token to the login page, which can send them back", async () => {
    for (const headers of [[HTML], [HTML, bearer("nonsense")], [HTML, cookie(tokens.locked)]]) {
      const { status, headers: shown } = await gatewayOf(name).visit({ path: "/a%2Fb?c=1&d=2", headers });
      expect(status).toBe(302);
      const { origin, searchParams } = new URL(shown.location as string);
      expect(origin).toBe("https://login.example.com");
      expect(searchParams.get("rd")).toMatch(/^https:\/\/localhost:\d+\/a%2Fb\?c=1&d=2$/);
      expect(shown["cache-control"]).toBe("no-store");
    }
    const { status } = await gatewayOf(name).visit({ method: "POST", headers: [HTML], body: "a=b" });
    expect(status).toBe(401);
  });

  test("sends browsers to the login page, however long the wanted address is", async () => {
    for (const length of [3_800, 7_000]) {
      const { status, headers } = await gatewayOf(name).visit({ path: `/${"a".repeat(length)}`, headers: [HTML] });
      expect([length, status]).toEqual([length, 302]);
      expect(new URL(headers.location as string).searchParams.has("rd")).toBe(length < 4_000);
    }
  });

  test("lets no forged header of a client through to the app", async () => {
    const names = [
      ...IDENTITY_HEADERS,
      "x-auth-request-groups",
      "x-userlock-gateway",
      "x-userlock-reason",
      "remote-groups",
    ];
    const spellings = [
      (text: string) => text,
      (text: string) => text.toUpperCase(),
      (text: string) => text.replaceAll("-", "_"),
      (text: string) => text.replace("-", "_"),
      (text: string) => text.replace(/-([^-]*)$/, "_$1"),
      (text: string) => text.replaceAll("-", "."),
    ];
    const forged = names.flatMap((each) => spellings.map((spell) => [spell(each), "forged"] as const));
    const twice = names.map((each) => [each, "forged"] as const);
    for (const token of [tokens.ada, tokens.jwt]) {
      const { status, body } = await gatewayOf(name).visit({ headers: [...forged, ...twice, bearer(token)] });
      expect(status).toBe(200);
      expect((JSON.parse(body).raw as string[]).filter((text) => text.includes("forged"))).toEqual([]);
      expect(JSON.parse(body).headers).toMatchObject({ "x-auth-request-user": "ada", "remote-user": "ada" });
      expect(body).not.toContain(places.token);
    }
    const session = await gatewayOf(name).http2();
    const headers = Object.fromEntries(forged.map(([each, value]) => [each.toLowerCase(), value]));
    const { status, body } = await visitHttp2(session, "/", { ...headers, authorization: `Bearer ${tokens.jwt}` });
    expect([status, body.includes("forged")]).toEqual([200, false]);
    session.close();
  });

  test("lets the app see no other token than userlock, and userlock no forged gateway", async () => {
    const arrived = arrivalsSince();
    const both = [bearer("nonsense"), bearer(tokens.ada)];
    for (const headers of [both, both.toReversed()]) {
      const { status } = await gatewayOf(name).visit({ headers });
      expect([200, 400, 401]).toContain(status);
    }
    expect(
      arrived()
        .flatMap(({ raw }) => raw)
        .filter((text) => text.includes("nonsense")),
    ).toEqual([]);
    const forged = ["x-forwarded-uri", "x-original-url", "x-original-uri"].map((each) => [each, "/forged"] as const);
    const { headers } = await gatewayOf(name).visit({ headers: [HTML, ...forged] });
    expect(headers.location).not.toContain("forged");
  });

  test("checks every path, as it is and whatever it means to the app", async () => {
    const paths = ["//", "/../x", "/%2e%2e/x", "/a/..%2fb", "/a%2Fb", "//_userlock", "/;/x", "/a/./b", "/%00", "/\\x"];
    const arrived = arrivalsSince();
    for (const path of ["/_userlock", "/authz", "/healthz", ...paths]) {
      const { status } = await gatewayOf(name).visit({ path });
      expect([path, [400, 401, 404].includes(status)]).toEqual([path, true]);
    }
    for (const line of ["GET http://app/ HTTP/1.1", "CONNECT app:80 HTTP/1.1", "TRACE / HTTP/1.1", "GET /"]) {
      const { text, socket } = await gatewayOf(name).raw(`${line}\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
      socket.destroy();
      expect([line, /^HTTP\/1\.[01] 2/.test(text)]).toEqual([line, false]);
    }
    expect(arrived()).toEqual([]);
    const { body } = await gatewayOf(name).visit({ path: "/a%2Fb//c?d", headers: [bearer(tokens.ada)] });
    expect(JSON.parse(body).url).toBe("/a%2Fb//c?d");
  });

  test("asks before the upload comes, and passes the body on as it comes", async () => {
    const arrived = arrivalsSince();
    let release = () => {};
    const more = new Promise<void>((resolve) => {
      release = resolve;
    });
    async function* body() {
      yield Buffer.alloc(100_000);
      await more;
      yield Buffer.alloc(2_000_000);
    }
    const visited = gatewayOf(name).visit({ method: "POST", body: body(), headers: [bearer(tokens.ada)] });
    // The app has the request while half of the body is missing.
    for (let waited = 0; arrived().length === 0 && waited < 5_000; waited += 5) await sleep(5);
    expect(arrived()).toHaveLength(1);
    release();
    expect(JSON.parse((await visited).body)).toMatchObject({ method: "POST", bytes: 2_100_000 });
    const head = await gatewayOf(name).visit({ method: "HEAD", headers: [bearer(tokens.ada)] });
    expect([head.status, head.body, head.headers["x-app"]]).toEqual([200, "", "yes"]);
    expect(arrived().map(({ method }) => method)).toEqual(["POST", "HEAD"]);
  });

  test("opens a WebSocket only with a good token, and no other upgrade at all", async () => {
    const upgrade = (protocol: string, token?: string) =>
      [
        "GET /socket HTTP/1.1",
        "Host: localhost",
        "Connection: Upgrade, HTTP2-Settings",
        `Upgrade: ${protocol}`,
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
        "",
        "",
      ].join("\r\n");
    for (const token of [undefined, "nonsense", tokens.locked]) {
      const { text, socket } = await gatewayOf(name).raw(upgrade("websocket", token));
      socket.destroy();
      expect(text).toMatch(/^HTTP\/1.1 401 /);
    }
    const { text, socket } = await gatewayOf(name).raw(upgrade("websocket", tokens.ada));
    expect(text).toMatch(/^HTTP\/1.1 101 /);
    socket.write("ping");
    expect(String((await once(socket, "data"))[0])).toBe("ping");
    socket.destroy();
    const arrived = arrivalsSince();
    const other = await gatewayOf(name).raw(upgrade("h2c", tokens.ada));
    other.socket.destroy();
    expect(other.text).not.toMatch(/^HTTP\/1.1 101 /);
    expect(arrived().map(({ headers }) => headers.upgrade)).toEqual(arrived().map(() => undefined));
  });
});

/** The answer to a visit. A busy host may need some time before it answers checks again. */
async function settled(gateway: ReturnType<typeof openVisitor>, token: string | undefined) {
  for (let waited = 0; ; waited += 100) {
    const answer = await gateway.visit({ headers: [bearer(token)] });
    if (answer.status !== 503 || waited > 5_000) return answer;
    await sleep(100);
  }
}

test.each<[what: string, hinder: () => Promise<unknown>]>([
  ["the store is slow", holdStore],
  ["userlock hangs", freezeServer],
  ["userlock is killed", () => server.stop("SIGKILL")],
])("while %s, each gateway refuses with 503 within about a second", async (_what, hinder) => {
  for (const gateway of gateways.values()) expect((await settled(gateway, tokens.ada)).status).toBe(200);
  const release = await hinder();
  const arrived = arrivalsSince();
  await Promise.all(
    [...gateways.values()].map(async (gateway) => {
      const { status, headers, ms } = await gateway.visit({ headers: [bearer(tokens.ada)] });
      expect([gateway.name, status, headers["retry-after"]]).toEqual([gateway.name, 503, "1"]);
      // A second for the check, and some time for a busy host.
      expect(ms).toBeLessThan(2_000);
    }),
  );
  expect(arrived()).toEqual([]);
  if (typeof release === "function") await release();
});

/** Holds a lock that the store's reads wait for. Returns what releases it. */
async function holdStore(): Promise<() => Promise<void>> {
  const client = new pg.Client(store);
  await client.connect();
  await client.query("BEGIN; LOCK TABLE streams IN ACCESS EXCLUSIVE MODE");
  return () => client.end();
}

async function freezeServer(): Promise<() => void> {
  server.child.kill("SIGSTOP");
  return () => void server.child.kill("SIGCONT");
}
