// Proves that settings are read and invalid ones are named.
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { ConfigError, describeConfig, readConfig } from "../../../src/config/config.ts";
import { SETTINGS } from "../../../src/config/settings.ts";
import { temporaryFolder } from "../../support/servers/server-process.ts";

const folder = temporaryFolder();
const pem = folder.file("some.pem");
writeFileSync(pem, "PEM");
afterAll(folder.remove);
const KEY = Buffer.alloc(32, "key");

/** Names of the settings that are reported as invalid, in order. */
function faults(environment: Record<string, string>): string[] {
  try {
    readConfig(environment);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map((problem) => problem.slice(0, problem.indexOf(":")));
  }
}

const jwt = (jwks: string) => ({
  USERLOCK_JWT_ISSUER: "https://issuer.example.com",
  USERLOCK_JWT_AUDIENCE: "userlock",
  USERLOCK_JWKS: jwks,
});

test("an empty environment gives the defaults", () => {
  expect(readConfig({})).toEqual({
    host: "127.0.0.1",
    port: 8080,
    adminListen: undefined,
    store: { kind: "sqlite", file: "data/userlock.db" },
    adminToken: undefined,
    isExposed: false,
    tls: undefined,
    corsOrigins: [],
    console: "main",
    isConsoleExposed: false,
    authz: { gatewayToken: undefined, loginOrigins: [] },
    instance: { id: "default", domains: [] },
    jwt: undefined,
    oidc: undefined,
    secretKey: undefined,
    argon2: { memoryKib: 19_456, passes: 2, lanes: 1 },
    connectionsPerAddress: 1_000,
    connectionAge: 3_600 * 1_000_000,
    hashThreads: availableParallelism(),
    sessionLifetime: 12 * 3_600 * 1_000_000,
    deviceLifetime: 90 * 86_400 * 1_000_000,
    logLevel: "info",
    accessLog: "changes",
    traces: undefined,
    allowsInsecureFiles: false,
  });
});

test("a PostgreSQL URL selects the PostgreSQL store", () => {
  const url = "postgres://ann:secret@db.example.com/userlock";
  expect(readConfig({ USERLOCK_STORE: url }).store).toEqual({ kind: "postgres", url });
});

test("every setting is read from the environment", () => {
  expect(
    readConfig({
      USERLOCK_LISTEN: "[::1]:0",
      USERLOCK_ADMIN_LISTEN: "0.0.0.0:9090",
      USERLOCK_STORE: "sqlite:/var/lib/userlock.db",
      USERLOCK_ADMIN_TOKEN: "0123456789abcdef",
      USERLOCK_TLS_CERT: pem,
      USERLOCK_TLS_KEY: pem,
      USERLOCK_CONSOLE: "off",
      USERLOCK_CORS_ORIGINS: "https://a.example.com, http://localhost:3000",
      USERLOCK_AUTHZ_TOKEN: "gateway-0123456789",
      USERLOCK_LOGIN_ORIGINS: "https://login.example.com",
      USERLOCK_INSTANCE_ID: "main",
      USERLOCK_INSTANCE_DOMAINS: "ID.example.com,login.example.com",
      USERLOCK_JWT_ISSUER: "https://issuer.example.com",
      USERLOCK_JWT_AUDIENCE: "userlock",
      USERLOCK_JWKS: "https://issuer.example.com/jwks",
      USERLOCK_JWT_ROLES_CLAIM: "groups",
      USERLOCK_OIDC_CLIENT_ID: "console",
      USERLOCK_OIDC_CLIENT_SECRET: "s3cret",
      USERLOCK_OIDC_SCOPES: "openid  roles",
      USERLOCK_SECRET_KEY: KEY.toString("base64"),
      USERLOCK_ARGON2: "m=65536,t=3,p=4",
      USERLOCK_HASH_THREADS: "3",
      USERLOCK_SESSION_LIFETIME: "30m",
      USERLOCK_DEVICE_LIFETIME: "7d",
      USERLOCK_CONNECTIONS_PER_ADDRESS: "0",
      USERLOCK_CONNECTION_AGE: "off",
      USERLOCK_LOG_LEVEL: "debug",
      USERLOCK_ACCESS_LOG: "errors",
      OTEL_EXPORTER_OTLP_ENDPOINT: "https://collector.example.com:4318/otlp",
      OTEL_TRACES_SAMPLER_ARG: "0.25",
      OTEL_SERVICE_NAME: "locks",
      OTEL_EXPORTER_OTLP_HEADERS: "not=ours",
      USERLOCK_INSECURE_FILES: "allow",
    }),
  ).toEqual({
    host: "::1",
    port: 0,
    adminListen: { host: "0.0.0.0", port: 9090 },
    store: { kind: "sqlite", file: "/var/lib/userlock.db" },
    adminToken: "0123456789abcdef",
    isExposed: false,
    tls: { cert: "PEM", key: "PEM" },
    corsOrigins: ["https://a.example.com", "http://localhost:3000"],
    console: undefined,
    isConsoleExposed: false,
    authz: { gatewayToken: "gateway-0123456789", loginOrigins: ["https://login.example.com"] },
    instance: { id: "main", domains: ["id.example.com", "login.example.com"] },
    jwt: {
      issuer: "https://issuer.example.com",
      audience: "userlock",
      jwks: "https://issuer.example.com/jwks",
      rolesClaim: "groups",
    },
    oidc: { issuer: "https://issuer.example.com", clientId: "console", clientSecret: "s3cret", scopes: "openid roles" },
    secretKey: KEY,
    argon2: { memoryKib: 65_536, passes: 3, lanes: 4 },
    hashThreads: 3,
    sessionLifetime: 30 * 60 * 1_000_000,
    deviceLifetime: 7 * 86_400 * 1_000_000,
    connectionsPerAddress: 0,
    connectionAge: 0,
    logLevel: "debug",
    accessLog: "errors",
    traces: { endpoint: "https://collector.example.com:4318/otlp", serviceName: "locks", ratio: 0.25 },
    allowsInsecureFiles: true,
  });
});

test.each<[environment: Record<string, string>, faults: string[]]>([
  [{ USERLOCK_LISTEN: "8080" }, ["USERLOCK_LISTEN"]],
  [{ USERLOCK_LISTEN: "localhost:65536" }, ["USERLOCK_LISTEN"]],
  [{ USERLOCK_LISTEN: "localhost:65535" }, []],
  [{ USERLOCK_ADMIN_LISTEN: "9090" }, ["USERLOCK_ADMIN_LISTEN"]],
  [{ USERLOCK_ADMIN_LISTEN: "127.0.0.1:8080" }, ["USERLOCK_ADMIN_LISTEN"]],
  [{ USERLOCK_LISTEN: "127.0.0.1:0", USERLOCK_ADMIN_LISTEN: "127.0.0.1:0" }, []],
  [{ USERLOCK_STORE: "postgres://localhost/userlock" }, []],
  [{ USERLOCK_STORE: "postgresql://ann:secret@[::1]:5433/userlock?sslmode=verify-full" }, []],
  [{ USERLOCK_STORE: "postgres://localhost" }, ["USERLOCK_STORE"]],
  [{ USERLOCK_STORE: "postgres://localhost/" }, ["USERLOCK_STORE"]],
  [{ USERLOCK_STORE: "postgres:userlock" }, ["USERLOCK_STORE"]],
  [{ USERLOCK_STORE: "mysql://localhost/userlock" }, ["USERLOCK_STORE"]],
  [{ USERLOCK_STORE: "data/userlock.db" }, ["USERLOCK_STORE"]],
  [{ USERLOCK_STORE: "sqlite:" }, ["USERLOCK_STORE"]],
  [{ USERLOCK_STORE: "sqlite::memory:" }, ["USERLOCK_ADMIN_TOKEN"]],
  [{ USERLOCK_STORE: "sqlite::memory:", USERLOCK_ADMIN_TOKEN: "0123456789abcdef" }, []],
  [{ USERLOCK_ADMIN_TOKEN: "short" }, ["USERLOCK_ADMIN_TOKEN"]],
  [{ USERLOCK_ADMIN_TOKEN: "with a space in it" }, ["USERLOCK_ADMIN_TOKEN"]],
  [{ USERLOCK_TLS_CERT: pem }, ["USERLOCK_TLS_KEY"]],
  [{ USERLOCK_TLS_CERT: "/no/such/file", USERLOCK_TLS_KEY: pem }, ["USERLOCK_TLS_CERT"]],
  [{ USERLOCK_CORS_ORIGINS: "https://a.example.com/" }, ["USERLOCK_CORS_ORIGINS"]],
  [{ USERLOCK_CORS_ORIGINS: "*" }, ["USERLOCK_CORS_ORIGINS"]],
  [{ USERLOCK_AUTHZ_TOKEN: "short" }, ["USERLOCK_AUTHZ_TOKEN"]],
  [{ USERLOCK_LOGIN_ORIGINS: "https://login.example.com/login" }, ["USERLOCK_LOGIN_ORIGINS"]],
  [{ USERLOCK_INSTANCE_ID: "a b" }, ["USERLOCK_INSTANCE_ID"]],
  [{ USERLOCK_INSTANCE_DOMAINS: "a_b" }, ["USERLOCK_INSTANCE_DOMAINS"]],
  [{ USERLOCK_JWT_ISSUER: "https://issuer.example.com" }, ["USERLOCK_JWT_AUDIENCE, USERLOCK_JWKS"]],
  [{ USERLOCK_JWKS: "/no/such/file", USERLOCK_JWT_ISSUER: "i", USERLOCK_JWT_AUDIENCE: "a" }, ["USERLOCK_JWKS"]],
  [{ USERLOCK_SECRET_KEY: KEY.toString("base64") }, []],
  [{ USERLOCK_OIDC_CLIENT_ID: "console" }, ["USERLOCK_JWT_ISSUER"]],
  [{ USERLOCK_OIDC_CLIENT_SECRET: "s3cret" }, ["USERLOCK_OIDC_CLIENT_ID"]],
  [{ ...jwt(pem), USERLOCK_JWT_ISSUER: "http://a.example", USERLOCK_OIDC_CLIENT_ID: "c" }, ["USERLOCK_JWT_ISSUER"]],
  [{ ...jwt(pem), USERLOCK_JWT_ISSUER: "an-issuer", USERLOCK_OIDC_CLIENT_ID: "c" }, ["USERLOCK_JWT_ISSUER"]],
  [{ USERLOCK_OIDC_SCOPES: "profile" }, ["USERLOCK_OIDC_SCOPES"]],
  [{ USERLOCK_OIDC_SCOPES: 'openid "x"' }, ["USERLOCK_OIDC_SCOPES"]],
  [{ USERLOCK_CONSOLE: "yes" }, ["USERLOCK_CONSOLE"]],
  [{ USERLOCK_SECRET_KEY: KEY.subarray(1).toString("base64") }, ["USERLOCK_SECRET_KEY"]],
  [{ USERLOCK_SECRET_KEY: Buffer.alloc(33).toString("base64") }, ["USERLOCK_SECRET_KEY"]],
  [{ USERLOCK_SECRET_KEY: KEY.toString("hex") }, ["USERLOCK_SECRET_KEY"]],
  [{ USERLOCK_SECRET_KEY: "a phrase that is easy to remember, and long, too" }, ["USERLOCK_SECRET_KEY"]],
  [{ USERLOCK_INSECURE_FILES: "refuse" }, []],
  [{ USERLOCK_INSECURE_FILES: "yes" }, ["USERLOCK_INSECURE_FILES"]],
  [{ USERLOCK_SESSION_LIFETIME: "1s" }, []],
  [{ USERLOCK_SESSION_LIFETIME: "7d" }, []],
  [{ USERLOCK_SESSION_LIFETIME: "3650d" }, []],
  [{ USERLOCK_DEVICE_LIFETIME: "3000000d" }, ["USERLOCK_DEVICE_LIFETIME"]],
  [{ USERLOCK_SESSION_LIFETIME: "315360000s" }, []],
  [{ USERLOCK_SESSION_LIFETIME: "3651d" }, ["USERLOCK_SESSION_LIFETIME"]],
  [{ USERLOCK_SESSION_LIFETIME: "3000000d" }, ["USERLOCK_SESSION_LIFETIME"]],
  [{ USERLOCK_SESSION_LIFETIME: "315360001s" }, ["USERLOCK_SESSION_LIFETIME"]],
  [{ USERLOCK_SESSION_LIFETIME: "0h" }, ["USERLOCK_SESSION_LIFETIME"]],
  [{ USERLOCK_SESSION_LIFETIME: "12" }, ["USERLOCK_SESSION_LIFETIME"]],
  [{ USERLOCK_SESSION_LIFETIME: "1.5h" }, ["USERLOCK_SESSION_LIFETIME"]],
  [{ USERLOCK_SESSION_LIFETIME: "-1h" }, ["USERLOCK_SESSION_LIFETIME"]],
  [{ USERLOCK_SESSION_LIFETIME: "1 h" }, ["USERLOCK_SESSION_LIFETIME"]],
  [{ USERLOCK_CONNECTION_AGE: "90s" }, []],
  [{ USERLOCK_CONNECTION_AGE: "0" }, ["USERLOCK_CONNECTION_AGE"]],
  [{ USERLOCK_ARGON2: "m=8,t=1,p=1" }, []],
  [{ USERLOCK_ARGON2: "m=7,t=1,p=1" }, ["USERLOCK_ARGON2"]],
  [{ USERLOCK_ARGON2: "m=15,t=1,p=2" }, ["USERLOCK_ARGON2"]],
  [{ USERLOCK_ARGON2: "m=262144,t=20,p=16" }, []],
  [{ USERLOCK_ARGON2: "m=262145,t=1,p=1" }, ["USERLOCK_ARGON2"]],
  [{ USERLOCK_ARGON2: "m=64,t=21,p=1" }, ["USERLOCK_ARGON2"]],
  [{ USERLOCK_ARGON2: "m=64,t=0,p=1" }, ["USERLOCK_ARGON2"]],
  [{ USERLOCK_ARGON2: "m=640,t=1,p=17" }, ["USERLOCK_ARGON2"]],
  [{ USERLOCK_ARGON2: "m=64,t=1,p=0" }, ["USERLOCK_ARGON2"]],
  [{ USERLOCK_ARGON2: "t=1,m=64,p=1" }, ["USERLOCK_ARGON2"]],
  [{ USERLOCK_HASH_THREADS: "64" }, []],
  ...[
    "http://localhost:9/jwks",
    "http://127.0.0.1/jwks",
    "http://127.3.2.1/",
    "http://[::1]/",
    "https://a.example/",
  ].map((jwks): [Record<string, string>, string[]] => [jwt(jwks), []]),
  ...[
    "http://issuer.example.com/",
    "http://localhost.example.com/",
    "http://10.0.0.1/",
    "http://127.0.0.1.example.com/",
  ].flatMap((jwks): [Record<string, string>, string[]][] => [
    [jwt(jwks), ["USERLOCK_JWKS"]],
    [{ ...jwt(jwks), USERLOCK_JWKS_PLAIN_HTTP: "on" }, []],
  ]),
  [{ USERLOCK_JWKS_PLAIN_HTTP: "yes" }, ["USERLOCK_JWKS_PLAIN_HTTP"]],
  ...["0", "65", "-1", "1.5", "all"].map((value): [Record<string, string>, string[]] => [
    { USERLOCK_HASH_THREADS: value },
    ["USERLOCK_HASH_THREADS"],
  ]),
  ...["-1", "1.5", "none", "1000000"].map((value): [Record<string, string>, string[]] => [
    { USERLOCK_CONNECTIONS_PER_ADDRESS: value },
    ["USERLOCK_CONNECTIONS_PER_ADDRESS"],
  ]),
  [{ USERLOCK_ACCESS_LOG: "some" }, ["USERLOCK_ACCESS_LOG"]],
  [{ OTEL_TRACES_SAMPLER_ARG: "1.5" }, ["OTEL_TRACES_SAMPLER_ARG"]],
  ...["collector:4318", "ftp://a", "http://user:secret@a:4318", "http://a:4318?key=secret"].map(
    (value): [Record<string, string>, string[]] => [
      { OTEL_EXPORTER_OTLP_ENDPOINT: value },
      ["OTEL_EXPORTER_OTLP_ENDPOINT"],
    ],
  ),
  [{ USERLOCK_LOG_LEVEL: "loud" }, ["USERLOCK_LOG_LEVEL"]],
  [{ USERLOCK_LISTNE: "x" }, ["USERLOCK_LISTNE"]],
  [{ USERLOCK_URL: "http://localhost", USERLOCK_TOKEN: "for the command line" }, []],
  [{ USERLOCK_LISTEN: "", OTHER: "x" }, []],
  [
    { USERLOCK_LISTEN: "x", USERLOCK_NOTHING: "x", USERLOCK_LOG_LEVEL: "x", USERLOCK_TLS_KEY: pem },
    ["USERLOCK_NOTHING", "USERLOCK_LISTEN", "USERLOCK_LOG_LEVEL", "USERLOCK_TLS_CERT"],
  ],
])("the environment %j has these invalid settings: %j", (environment, expected) => {
  expect(faults(environment)).toEqual(expected);
});

describe("a secret in a file", () => {
  const SECRETS: [name: string, value: string, key: keyof ReturnType<typeof readConfig>, read: unknown][] = [
    [
      "USERLOCK_STORE",
      "postgres://ann:secret@db/users",
      "store",
      { kind: "postgres", url: "postgres://ann:secret@db/users" },
    ],
    ["USERLOCK_ADMIN_TOKEN", "0123456789abcdef", "adminToken", "0123456789abcdef"],
    ["USERLOCK_AUTHZ_TOKEN", "gateway-0123456789", "authz", { gatewayToken: "gateway-0123456789", loginOrigins: [] }],
    ["USERLOCK_OIDC_CLIENT_SECRET", "s3cret", "oidc", expect.objectContaining({ clientSecret: "s3cret" })],
    ["USERLOCK_SECRET_KEY", KEY.toString("base64"), "secretKey", KEY],
  ];
  const file = folder.file("secret");
  /** What one of them needs. */
  const rest = { ...jwt(pem), USERLOCK_OIDC_CLIENT_ID: "console" };

  test.each(SECRETS)("gives %s", (name, value, key, read) => {
    writeFileSync(file, `${value}\n`);
    expect(readConfig({ ...rest, [`${name}_FILE`]: file })[key]).toEqual(read);
  });

  test("can give every setting that may hold a secret", () => {
    const secrets = Object.entries(SETTINGS).filter(([, setting]) => "secret" in setting);
    expect(secrets.map(([name]) => name)).toEqual(SECRETS.map(([name]) => name));
  });

  test.each(SECRETS)("cannot be given beside %s", (name, value) => {
    writeFileSync(file, value);
    expect(faults({ ...rest, [`${name}_FILE`]: file, [name]: value })).toEqual([`${name}_FILE`]);
  });

  test("must exist and be valid, and is not shown", () => {
    expect(faults({ USERLOCK_ADMIN_TOKEN_FILE: folder.file("none") })).toEqual(["USERLOCK_ADMIN_TOKEN_FILE"]);
    writeFileSync(file, "too short");
    expect(() => readConfig({ USERLOCK_ADMIN_TOKEN_FILE: file })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining("too short") }),
    );
    writeFileSync(file, "");
    expect(faults({ USERLOCK_SECRET_KEY_FILE: file })).toEqual(["USERLOCK_SECRET_KEY"]);
  });

  test("is not a way for settings without a secret", () => {
    expect(faults({ USERLOCK_LISTEN_FILE: file })).toEqual(["USERLOCK_LISTEN_FILE"]);
  });
});

test("the description of the settings has each once, its source, and no secret", () => {
  const file = folder.file("key");
  writeFileSync(file, KEY.toString("base64"));
  const described = describeConfig({
    USERLOCK_STORE: "postgres://ann:hunter2@db/users?sslpassword=hunter2&sslmode=require",
    USERLOCK_ADMIN_TOKEN: "0123456789abcdef",
    USERLOCK_SECRET_KEY_FILE: file,
    USERLOCK_LOG_LEVEL: "debug",
  });
  expect(described.map(({ name }) => name)).toEqual(Object.keys(SETTINGS));
  const of = (wanted: string) => described.find(({ name }) => name === wanted);
  expect(of("USERLOCK_STORE")?.value).toBe("postgres://ann:***@db/users?sslpassword=***&sslmode=require");
  expect(of("USERLOCK_ADMIN_TOKEN")).toMatchObject({ value: "(hidden)", from: "environment" });
  expect(of("USERLOCK_SECRET_KEY")).toMatchObject({ value: "(hidden)", from: "file" });
  expect(of("USERLOCK_LOG_LEVEL")).toMatchObject({ value: "debug", from: "environment" });
  expect(of("USERLOCK_LISTEN")).toMatchObject({ value: "127.0.0.1:8080", from: "default" });
  expect(JSON.stringify(described)).not.toMatch(/hunter2|0123456789abcdef/);
});

const SECRET = "hunter2";
test.each<[environment: Record<string, string>]>([
  [{ USERLOCK_TLS_KEY: `-----BEGIN PRIVATE KEY-----\n${SECRET}\n`, USERLOCK_TLS_CERT: pem }],
  [{ USERLOCK_TLS_KEY: SECRET, USERLOCK_TLS_CERT: pem }],
  [{ USERLOCK_STORE_FILE: `postgres://u:${SECRET}@h/db` }],
  [{ USERLOCK_ADMIN_TOKEN_FILE: SECRET.repeat(4) }],
  ...[
    `u:12/34${SECRET}@h/db`,
    `u:/${SECRET}@h/db`,
    `h/db?password=abc#${SECRET}`,
    `u:1/x#${SECRET}@h/db`,
    `u%3A${SECRET}@h/db`,
    `h/db?sslmode=require;password=${SECRET}`,
    `h/db?pwd=${SECRET}`,
    `h/db?password%3D${SECRET}`,
    `h/db?options=${SECRET}`,
    `u:${SECRET}@h/db?password=${SECRET}`,
    `h/db?p%61ssword=${SECRET}`,
  ].map((rest): [Record<string, string>] => [{ USERLOCK_STORE: `postgres://${rest}` }]),
  [jwt(`https://u:${SECRET}@issuer.example.com/keys?api_key=${SECRET}`)],
  [jwt(`http://u:${SECRET}@issuer.example.com/keys#${SECRET}`)],
  [jwt(`{"keys":["${SECRET}"]}`)],
])("neither errors nor the description show the secret of %j", (environment) => {
  let printed: string;
  try {
    printed = JSON.stringify(describeConfig(environment));
  } catch (error) {
    printed = (error as Error).message;
  }
  expect(printed).toMatch(/USERLOCK_/);
  expect(printed).not.toContain(SECRET);
});

test.each([
  ["USERLOCK_ADMIN_TOKEN", "a secret"],
  ["USERLOCK_SECRET_KEY", "a secret"],
  ["USERLOCK_STORE", "postgres://user:secret@host"],
])("an invalid %s is not shown in the error", (name, value) => {
  expect(() => readConfig({ [name]: value })).toThrow(
    expect.objectContaining({ message: expect.not.stringContaining("secret") }),
  );
});

test("each setting has a description", () => {
  for (const { description } of Object.values(SETTINGS)) expect(description).not.toBe("");
});
