import { availableParallelism } from "node:os";
import { keyOf } from "./auth/instance-secrets.ts";
import type { JwtSettings } from "./auth/jwt.ts";
import type { HashSettings } from "./auth/password.ts";
import { isIdentifier, NO_IDENTIFIER } from "./domain/identifier.ts";
import { durationOf, NO_DURATION } from "./duration.ts";
import { LOG_LEVELS, type LogLevel } from "./log.ts";
import { argon2Of, fileProblem, isLoopback, isOrigin, list, parseListen, readText, storeOf } from "./setting-values.ts";
import type { StoreSettings } from "./store/settings.ts";

export interface Config {
  host: string;
  port: number;
  store: StoreSettings;
  adminToken: string | undefined;
  /** PEM. */
  tls: { cert: string; key: string } | undefined;
  corsOrigins: readonly string[];
  instance: { id: string; domains: readonly string[] };
  jwt: JwtSettings | undefined;
  /** Key for what must not be in the store; undefined: one from a file beside the store. */
  secretKey: Uint8Array | undefined;
  /** Cost of a password's hash. */
  argon2: HashSettings;
  /** How many passwords are hashed at once. */
  hashThreads: number;
  /** How long a session lives, microseconds. */
  sessionLifetime: number;
  /** How long a device is known after its last good login, microseconds. */
  deviceLifetime: number;
  /** Connections that one address may have; 0: addresses are not told apart. */
  connectionsPerAddress: number;
  logLevel: LogLevel;
  /** Whether others than their owner may have the files beside the store, and the store's own. */
  allowsInsecureFiles: boolean;
}

/** What is wrong with the settings, all of it. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}

interface Setting {
  /** Used where the variable is not set; undefined if there is none. */
  default: string | undefined;
  /** One line for people. */
  description: string;
  /** Never shown, for it may hold a secret. */
  secret?: true;
  /** Says what is wrong with a value, or undefined. */
  problem?(value: string): string | undefined;
}

/** Every setting, in the order in which it is shown. */
export const SETTINGS = {
  USERLOCK_LISTEN: {
    default: "127.0.0.1:8080",
    description: "address to listen on, `host:port`; port 0 takes any free one",
    problem: (value) => (parseListen(value) ? undefined : "must be host:port, such as 127.0.0.1:8080 or [::1]:8080"),
  },
  USERLOCK_STORE: {
    default: "sqlite:data/userlock.db",
    description:
      "where everything is kept: `sqlite:PATH`, `sqlite::memory:` for nothing that lasts, or `postgres://USER:PASSWORD@HOST/DATABASE`",
    secret: true,
    problem: (value) =>
      storeOf(value) ? undefined : "must be sqlite:PATH, sqlite::memory: or postgres://USER:PASSWORD@HOST/DATABASE",
  },
  USERLOCK_ADMIN_TOKEN: {
    default: undefined,
    description: "first token (INSTANCE_OWNER) of an empty store; left out, one is made and written to `admin.token`",
    secret: true,
    problem: (value) =>
      /^[A-Za-z0-9._~+/-]{16,200}=*$/.test(value)
        ? undefined
        : "must be 16 to 200 characters of A-Z a-z 0-9 . _ ~ + / -",
  },
  USERLOCK_TLS_CERT: {
    default: undefined,
    description: "PEM file with the certificate chain; with it and the key the port speaks TLS",
    problem: fileProblem,
  },
  USERLOCK_TLS_KEY: { default: undefined, description: "PEM file with the private key", problem: fileProblem },
  USERLOCK_CORS_ORIGINS: {
    default: undefined,
    description: "origins whose pages may call, separated by commas, such as `https://console.example.com`",
    problem: (value) => {
      const wrong = list(value).find((origin) => !isOrigin(origin));
      return wrong === undefined ? undefined : `${wrong} is not an origin such as https://console.example.com`;
    },
  },
  USERLOCK_INSTANCE_ID: {
    default: "default",
    description: "id of the instance that is served",
    problem: (value) => (isIdentifier(value) ? undefined : NO_IDENTIFIER),
  },
  USERLOCK_INSTANCE_DOMAINS: {
    default: undefined,
    description: "domains of the instance, separated by commas",
    problem: (value) => {
      const wrong = list(value).find((domain) => !/^[A-Za-z0-9.-]{1,253}$/.test(domain));
      return wrong === undefined ? undefined : `${wrong} is not a domain`;
    },
  },
  USERLOCK_JWT_ISSUER: { default: undefined, description: "issuer (`iss`) whose JWTs are taken as tokens" },
  USERLOCK_JWT_AUDIENCE: { default: undefined, description: "audience (`aud`) that a JWT must have" },
  USERLOCK_JWKS: {
    default: undefined,
    description: "address or file of the issuer's JSON Web Key Set",
    problem: (value) =>
      /^https?:/.test(value) ? (URL.canParse(value) ? undefined : "is not a URL") : fileProblem(value),
  },
  USERLOCK_JWKS_PLAIN_HTTP: {
    default: "off",
    description: "`on` lets the key set be fetched over plain http from another host than this one",
    problem: (value) => (["on", "off"].includes(value) ? undefined : "must be on or off"),
  },
  USERLOCK_JWT_ROLES_CLAIM: {
    default: "roles",
    description: "claim with the caller's roles, an array of `ROLE` or `ROLE@organization`",
  },
  USERLOCK_SECRET_KEY: {
    default: undefined,
    description:
      "key of the instance, 32 bytes in base64, the same for all its servers; left out, one is made and written to `instance.key`",
    secret: true,
    problem: (value) => (keyOf(value) ? undefined : "must be 32 bytes in base64: head -c 32 /dev/urandom | base64"),
  },
  USERLOCK_SESSION_LIFETIME: {
    default: "12h",
    description: "how long a session lives, with a unit of s, m, h, d or w; at most `3650d`",
    problem: (value) => (durationOf(value) === undefined ? NO_DURATION : undefined),
  },
  USERLOCK_DEVICE_LIFETIME: {
    default: "90d",
    description:
      "how long a device is known after its last good login, with a unit of s, m, h, d or w; at most `3650d`",
    problem: (value) => (durationOf(value) === undefined ? NO_DURATION : undefined),
  },
  USERLOCK_ARGON2: {
    default: "m=19456,t=2,p=1",
    description: "cost of a password's hash by argon2id: memory in KiB, passes, lanes",
    problem: (value) =>
      argon2Of(value)
        ? undefined
        : "must be m=KIB,t=PASSES,p=LANES with 8 to 262144 KiB, 1 to 20 passes, 1 to 16 lanes",
  },
  USERLOCK_HASH_THREADS: {
    default: undefined,
    description: "how many passwords are hashed at once; left out, as many as the machine has cores",
    problem: (value) => (/^([1-9]|[1-5]\d|6[0-4])$/.test(value) ? undefined : "must be 1 to 64"),
  },
  USERLOCK_CONNECTIONS_PER_ADDRESS: {
    default: "1000",
    description: "connections from one address; `0` behind a proxy: no limit counts by address then",
    problem: (value) => (/^(0|[1-9]\d{0,5})$/.test(value) ? undefined : "must be 0 to 999999"),
  },
  USERLOCK_LOG_LEVEL: {
    default: "info",
    description: `least level that is logged: ${LOG_LEVELS.join(", ")}`,
    problem: (value) =>
      (LOG_LEVELS as readonly string[]).includes(value) ? undefined : `must be one of ${LOG_LEVELS.join(", ")}`,
  },
  USERLOCK_INSECURE_FILES: {
    default: "refuse",
    description: "`allow` starts although others can read or write the database, `instance.key` or `admin.token`",
    problem: (value) => (["refuse", "allow"].includes(value) ? undefined : "must be refuse or allow"),
  },
} as const satisfies Record<string, Setting>;

type Name = keyof typeof SETTINGS;

/**
 * Reads the settings of a server from its environment. An empty variable counts as not set. Throws a ConfigError that
 * names every problem: unknown USERLOCK_ names, bad values, parts that do not go together. Variables of the command
 * line's own (USERLOCK_URL, USERLOCK_TOKEN) are passed over.
 */
export function readConfig(environment: Record<string, string | undefined>): Config {
  const problems: string[] = [];
  const clientsOwn = ["USERLOCK_URL", "USERLOCK_TOKEN"];
  for (const name of Object.keys(environment).sort()) {
    if (name.startsWith("USERLOCK_") && !Object.hasOwn(SETTINGS, name) && !clientsOwn.includes(name)) {
      problems.push(`${name}: there is no such setting`);
    }
  }

  const get = (name: Name) => environment[name] || SETTINGS[name].default;
  for (const [name, setting] of Object.entries(SETTINGS) as [Name, Setting][]) {
    const value = get(name);
    const problem = value === undefined ? undefined : setting.problem?.(value);
    if (problem === undefined) continue;
    problems.push(setting.secret ? `${name}: ${problem}` : `${name}: ${problem} (it is ${JSON.stringify(value)})`);
  }
  const together = (names: Name[]) => {
    const absent = names.filter((name) => get(name) === undefined);
    if (absent.length === 0) return true;
    if (absent.length < names.length) problems.push(`${absent.join(", ")}: missing; ${names.join(", ")} go together`);
    return false;
  };
  const hasTls = together(["USERLOCK_TLS_CERT", "USERLOCK_TLS_KEY"]);
  const hasJwt = together(["USERLOCK_JWT_ISSUER", "USERLOCK_JWT_AUDIENCE", "USERLOCK_JWKS"]);
  const jwks = get("USERLOCK_JWKS") ?? "";
  if (/^http:/.test(jwks) && !isLoopback(jwks) && get("USERLOCK_JWKS_PLAIN_HTTP") !== "on") {
    problems.push(
      `USERLOCK_JWKS: http lets anyone on the network replace the keys; use https, or set USERLOCK_JWKS_PLAIN_HTTP=on (it is ${JSON.stringify(jwks)})`,
    );
  }
  if (get("USERLOCK_STORE") === "sqlite::memory:" && get("USERLOCK_ADMIN_TOKEN") === undefined) {
    problems.push(
      "USERLOCK_ADMIN_TOKEN: must be set with sqlite::memory:, which has no file to write the token beside",
    );
  }
  if (problems.length > 0) throw new ConfigError(problems);

  const needed = (name: Name) => get(name) as string;
  const [host, port] = parseListen(needed("USERLOCK_LISTEN")) as [string, number];
  return {
    host,
    port,
    store: storeOf(needed("USERLOCK_STORE")) as StoreSettings,
    adminToken: get("USERLOCK_ADMIN_TOKEN"),
    tls: hasTls
      ? { cert: readText(needed("USERLOCK_TLS_CERT")), key: readText(needed("USERLOCK_TLS_KEY")) }
      : undefined,
    corsOrigins: list(get("USERLOCK_CORS_ORIGINS")),
    instance: {
      id: needed("USERLOCK_INSTANCE_ID"),
      domains: list(get("USERLOCK_INSTANCE_DOMAINS")).map((domain) => domain.toLowerCase()),
    },
    jwt: hasJwt
      ? {
          issuer: needed("USERLOCK_JWT_ISSUER"),
          audience: needed("USERLOCK_JWT_AUDIENCE"),
          jwks: needed("USERLOCK_JWKS"),
          rolesClaim: needed("USERLOCK_JWT_ROLES_CLAIM"),
        }
      : undefined,
    secretKey: keyOf(get("USERLOCK_SECRET_KEY") ?? ""),
    argon2: argon2Of(needed("USERLOCK_ARGON2")) as HashSettings,
    hashThreads: Number(get("USERLOCK_HASH_THREADS") ?? availableParallelism()),
    sessionLifetime: durationOf(needed("USERLOCK_SESSION_LIFETIME")) as number,
    deviceLifetime: durationOf(needed("USERLOCK_DEVICE_LIFETIME")) as number,
    connectionsPerAddress: Number(needed("USERLOCK_CONNECTIONS_PER_ADDRESS")),
    logLevel: needed("USERLOCK_LOG_LEVEL") as LogLevel,
    allowsInsecureFiles: needed("USERLOCK_INSECURE_FILES") === "allow",
  };
}
