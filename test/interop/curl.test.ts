// Proves that curl can call a server.
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { State, UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { ZITADELUsers } from "../../gen/zitadel/resources/user/v3alpha/user_service_pb.ts";
import { reasonOfConnectError } from "../support/clients/error-info.ts";
import { makeCertificate } from "../support/servers/certificate.ts";
import { runCommand } from "../support/servers/command.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../support/servers/server-process.ts";
import { usersOf } from "../support/users.ts";

const folder = temporaryFolder();
let clear: ServerProcess;
let tls: ServerProcess;
let certFile: string;

beforeAll(async () => {
  const certificate = await makeCertificate(folder);
  certFile = certificate.certFile;
  [clear, tls] = await Promise.all([startServer(), startServer(certificate.settings)]);
});

afterAll(async () => {
  await Promise.all([clear?.stop(), tls?.stop()]);
  folder.remove();
});

const VERSIONS = [
  { version: "curl --http1.1", flags: ["--http1.1"], isTls: false, http: "1.1" },
  { version: "curl --http2-prior-knowledge", flags: ["--http2-prior-knowledge"], isTls: false, http: "2" },
  { version: "curl --http2, whose upgrade is ignored", flags: ["--http2"], isTls: false, http: "1.1" },
  { version: "curl --http1.1 with TLS", flags: ["--http1.1"], isTls: true, http: "1.1" },
  { version: "curl --http2 with TLS", flags: ["--http2"], isTls: true, http: "2" },
];

interface Door {
  door: string;
  /** Path and body of LockUser. */
  lock(id: string): [path: string, body: object];
  /** Path of GetUser, with a body if it is a POST. */
  get(id: string): [path: string, body?: object];
  /** The codes for FAILED_PRECONDITION and UNAUTHENTICATED. */
  failedPrecondition: unknown;
  unauthenticated: unknown;
  // biome-ignore lint/suspicious/noExplicitAny: JSON of two kinds
  reasonOf(error: any): string | undefined;
}

const DOORS: Door[] = [
  {
    door: "REST",
    lock: (id) => [`/resources/v3alpha/users/${id}/_lock`, {}],
    get: (id) => [`/resources/v3alpha/users/${id}`],
    failedPrecondition: 9,
    unauthenticated: 16,
    reasonOf: ({ details: [info] }) => info.reason,
  },
  ...[UserService, ZITADELUsers].map(
    ({ name, typeName }): Door => ({
      door: `Connect JSON, ${name}`,
      lock: (id) => [`/${typeName}/LockUser`, { id }],
      get: (id) => [`/${typeName}/GetUser`, { id }],
      failedPrecondition: "failed_precondition",
      unauthenticated: "unauthenticated",
      reasonOf: reasonOfConnectError,
    }),
  ),
];

const AUTHORIZED = ["--header", `authorization: Bearer ${ADMIN_TOKEN}`];
const JSON_BODY = ["--header", "content-type: application/json", "--data-binary", "@-"];

describe.each(VERSIONS)("$version", ({ flags, isTls, http }) => {
  let url: string;
  let users: ReturnType<typeof usersOf>;
  beforeAll(() => {
    url = isTls ? tls.url : clear.url;
    users = usersOf(url, isTls ? certFile : undefined);
  });

  /** The response with its JSON body. Rejects unless curl exits with 0. */
  async function curl(path: string, args: string[], input: Parameters<typeof runCommand>[2] = []) {
    const about = '%{stderr}{"http":"%{http_version}","status":%{http_code},"headers":%{header_json}}';
    const common = ["--silent", "--max-time", "20", "--cacert", certFile, "--write-out", about];
    const { code, stdout, stderr } = await runCommand("curl", [...common, ...flags, ...args, url + path], input);
    if (code !== 0) throw new Error(`curl ended with ${code}`);
    const response = JSON.parse(stderr) as { http: string; status: number; headers: Record<string, string[]> };
    return { ...response, json: JSON.parse(stdout || "null") };
  }

  describe.each(DOORS)("calling $door", ({ lock, get, failedPrecondition, unauthenticated, reasonOf }) => {
    test("locks a user once", async () => {
      const id = await users.add();
      const [path, body] = lock(id);
      const call = () => curl(path, [...AUTHORIZED, ...JSON_BODY], [JSON.stringify(body)]);
      expect(await call()).toMatchObject({ http, status: 200, json: { details: { id } } });
      expect(await users.stateOf(id)).toBe(State.USER_STATE_LOCKED);

      const again = await call();
      expect(again).toMatchObject({ http, status: 400, json: { code: failedPrecondition } });
      expect(reasonOf(again.json)).toBe("USER_ALREADY_LOCKED");
    });

    test("gets 401 and a challenge without a token", async () => {
      const [path, body] = lock("u");
      const answer = await curl(path, JSON_BODY, [JSON.stringify(body)]);
      expect(answer).toMatchObject({ http, status: 401, json: { code: unauthenticated } });
      expect(reasonOf(answer.json)).toBe("TOKEN_MISSING");
      expect(answer.headers["www-authenticate"]).toEqual(['Bearer realm="userlock"']);
    });

    test("gets the answer even if it comes before the whole request is sent", async () => {
      const [path, body] = lock("u");
      async function* later() {
        await sleep(200);
        yield JSON.stringify(body);
      }
      const upload = ["--request", "POST", "--header", "content-type: application/json", "--upload-file", "-"];
      expect(await curl(path, upload, later())).toMatchObject({ http, status: 401 });
    });

    test("sends and receives gzip", async () => {
      const text = "x".repeat(2_000);
      const id = await users.add({ text });
      const gzip = ["--header", "content-encoding: gzip"];
      const [path, body] = lock(id);
      const locked = await curl(path, [...AUTHORIZED, ...JSON_BODY, ...gzip], [gzipSync(JSON.stringify(body))]);
      expect(locked).toMatchObject({ status: 200, json: { details: { id } } });

      const [getPath, getBody] = get(id);
      const post = getBody ? JSON_BODY : [];
      const answer = await curl(getPath, [...AUTHORIZED, ...post, "--compressed"], [JSON.stringify(getBody ?? "")]);
      expect(answer).toMatchObject({ status: 200, headers: { "content-encoding": ["gzip"] } });
      expect(answer.json.user).toMatchObject({ state: "USER_STATE_LOCKED", data: { text } });
    });
  });

  test.each([UserService, ZITADELUsers])(
    "reads by Connect GET and changes nothing by it, on $name",
    async ({ typeName }) => {
      const id = await users.add();
      const query = new URLSearchParams({ connect: "v1", encoding: "json", message: JSON.stringify({ id }) });
      const get = (method: string, headers: string[]) => curl(`/${typeName}/${method}?${query}`, headers);
      expect(await get("GetUser", AUTHORIZED)).toMatchObject({
        http,
        status: 200,
        json: { user: { details: { id } } },
      });
      expect(await get("GetUser", [])).toMatchObject({ status: 401, json: { code: "unauthenticated" } });
      // Methods that change something do not allow GET.
      expect(await get("LockUser", AUTHORIZED)).toMatchObject({ status: 405, headers: { allow: ["POST"] } });
      expect(await users.stateOf(id)).toBe(State.USER_STATE_ACTIVE);
    },
  );
});
