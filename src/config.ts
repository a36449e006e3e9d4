import { availableParallelism } from "node:os";
import { keyOf } from "./auth/instance-secrets.ts";
import { IDENTIFIER_RULE, isIdentifier } from "./domain/identifier.ts";
import { DURATION_RULE, durationOf } from "./duration.ts";
import { ACCESS_LOGS, LOG_LEVELS } from "./log.ts";
import {
  argon2Of,
  collectorOf,
  HIDDEN,
  isLoopback,
  isLoopbackHost,
  isOrigin,
  listOf,
  must,
  parseListen,
  shownPlace,
  shownStore,
  storeOf,
  textIn,
} from "./setting-values.ts";

export type Config = ReturnType<typeof readConfig>;

/** All problems of the settings. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

interface Setting {
  /** The default. */
  default?: string;
  /** One line for the documentation. */
  description: string;
  /** Not shown, because it may be a secret. NAME_FILE can name a file that has it. */
  secret?: true;
  /** A text for people without a secret. By default the value, unless it is one. */
  show?(value: string): string;
  /** Parses the value. Throws an Error with the rule that it breaks. */
  parse(text: string): unknown;
}

const asIs = (text: string) => text;
const matching = (pattern: RegExp, rule: string) => (text: string) => must(rule, pattern.test(text) ? text : undefined);
const oneOf = <Word extends string>(words: readonly Word[], rule = words.join(" or ")) => {
  const find = (text: string) => words.find((word) => word === text);
  return (text: string) => must(rule, find(text));
};
const duration = (text: string) => must(DURATION_RULE, durationOf(text));

/** All settings, in the documented order. */
export const SETTINGS = {
  USERLOCK_LISTEN: {
    default: "127.0.0.1:8080",
    description: "address to listen on, `host:port`; port 0 takes any free one",
    parse: (text) => must("host:port, such as 127.0.0.1:8080 or [::1]:8080", parseListen(text)),
  },
  USERLOCK_ADMIN_LISTEN: {
    description:
      "address of the admin listener, `host:port`, with `/metrics`, `/healthz` and `/readyz`; by default there is none",
    parse: (text) => must("host:port, such as 127.0.0.1:9090 or [::1]:9090", parseListen(text)),
  },
  USERLOCK_STORE: {
    default: "sqlite:data/userlock.db",
    description:
      "the store: `sqlite:PATH`, `sqlite::memory:` (lost when the server stops), or `postgres://USER:PASSWORD@HOST/DATABASE`",
    secret: true,
    show: shownStore,
    parse: (text) => must("sqlite:PATH, sqlite::memory: or postgres://USER:PASSWORD@HOST/DATABASE", storeOf(text)),
  },
  USERLOCK_ADMIN_TOKEN: {
    description: "first token (INSTANCE_OWNER) of an empty store; by default a new one, written to `admin.token`",
    secret: true,
    parse: matching(/^[A-Za-z0-9._~+/-]{16,200}=*$/, "16 to 200 characters of A-Z a-z 0-9 . _ ~ + / -"),
  },
  USERLOCK_TLS_CERT: {
    description: "PEM file with the certificate chain; with it and the key the port uses TLS",
    show: shownPlace,
    parse: textIn,
  },
  USERLOCK_TLS_KEY: { description: "PEM file with the private key", show: shownPlace, parse: textIn },
  USERLOCK_CORS_ORIGINS: {
    description: "origins whose pages may call the API, separated by commas, such as `https://console.example.com`",
    parse: (text) => listOf(text, "an origin such as https://console.example.com", isOrigin),
  },
  USERLOCK_INSTANCE_ID: {
    default: "default",
    description: "id of the instance",
    parse: (text) => must(IDENTIFIER_RULE, isIdentifier(text) ? text : undefined),
  },
  USERLOCK_INSTANCE_DOMAINS: {
    description: "domains of the instance, separated by commas",
    parse: (text) => listOf(text.toLowerCase(), "a domain", (domain) => /^[a-z0-9.-]{1,253}$/.test(domain)),
  },
  USERLOCK_JWT_ISSUER: {
    description: "issuer (`iss`) whose JWTs are accepted as tokens",
    parse: asIs,
  },
  USERLOCK_JWT_AUDIENCE: { description: "audience (`aud`) that a JWT must have", parse: asIs },
  USERLOCK_JWKS: {
    description: "address or file of the issuer's JSON Web Key Set",
    show: shownPlace,
    parse(text) {
      if (!/^https?:/.test(text)) textIn(text);
      else if (!URL.canParse(text)) throw new Error("is not a URL");
      return text;
    },
  },
  USERLOCK_JWKS_PLAIN_HTTP: {
    default: "off",
    description: "`on` lets the key set be fetched over plain http from another host than this one",
    parse: oneOf(["on", "off"]),
  },
  USERLOCK_JWT_ROLES_CLAIM: {
    default: "roles",
    description: "claim with the caller's roles, an array of `ROLE` or `ROLE@organization`",
    parse: asIs,
  },
  USERLOCK_SECRET_KEY: {
    description:
      "key of the instance, 32 bytes in base64, the same for all its servers; by default a new one, written to `instance.key`",
    secret: true,
    parse: (text) => must("32 bytes in base64: head -c 32 /dev/urandom | base64", keyOf(text)),
  },
  USERLOCK_SESSION_LIFETIME: {
    default: "12h",
    description: "how long a session lives, with a unit of s, m, h, d or w; at most `3650d`",
    parse: duration,
  },
  USERLOCK_DEVICE_LIFETIME: {
    default: "90d",
    description:
      "how long a device is known after its last successful login, with a unit of s, m, h, d or w; at most `3650d`",
    parse: duration,
  },
  USERLOCK_ARGON2: {
    default: "m=19456,t=2,p=1",
    description: "cost of a password's hash by argon2id: memory in KiB, passes, lanes",
    parse: (text) => must("m=KIB,t=PASSES,p=LANES with 8 to 262144 KiB, 1 to 20 passes, 1 to 16 lanes", argon2Of(text)),
  },
  USERLOCK_HASH_THREADS: {
    description: "number of passwords hashed at once; by default the number of cores",
    parse: (text) => Number(matching(/^([1-9]|[1-5]\d|6[0-4])$/, "1 to 64")(text)),
  },
  USERLOCK_CONNECTIONS_PER_ADDRESS: {
    default: "1000",
    description: "connections from one address; `0` behind a proxy: no limit is per address then",
    parse: (text) => Number(matching(/^(0|[1-9]\d{0,5})$/, "0 to 999999")(text)),
  },
  USERLOCK_CONNECTION_AGE: {
    default: "1h",
    description:
      "how long a connection lives, so that balancers spread clients after a deploy; with a unit of s, m, h, d or w, or `off`",
    parse: (text) => (text === "off" ? 0 : must(`${DURATION_RULE}, or off`, durationOf(text))),
  },
  USERLOCK_LOG_LEVEL: {
    default: "info",
    description: `lowest level that is logged: ${LOG_LEVELS.join(", ")}`,
    parse: oneOf(LOG_LEVELS, `one of ${LOG_LEVELS.join(", ")}`),
  },
  USERLOCK_ACCESS_LOG: {
    default: "changes",
    description:
      "calls with a line in the log: `off`, `errors` (those that failed), `changes` (those of methods that change something), `all`",
    parse: oneOf(ACCESS_LOGS, `one of ${ACCESS_LOGS.join(", ")}`),
  },
  USERLOCK_INSECURE_FILES: {
    default: "refuse",
    description: "`allow` starts although others can read or write the database, `instance.key` or `admin.token`",
    parse: oneOf(["refuse", "allow"]),
  },
  OTEL_EXPORTER_OTLP_ENDPOINT: {
    description:
      "address of an OpenTelemetry collector for traces, such as `http://127.0.0.1:4318`; by default there are none",
    show: shownPlace,
    parse: (text) => must("an http or https URL without a user, a password or a query", collectorOf(text)),
  },
  OTEL_TRACES_SAMPLER_ARG: {
    default: "1",
    description: "share of the calls with a trace, 0 to 1; a caller that sends a `traceparent` decides by itself",
    parse: (text) => Number(matching(/^(0(\.\d{1,9})?|1(\.0{1,9})?)$/, "0 to 1")(text)),
  },
  OTEL_SERVICE_NAME: { default: "userlock", description: "name of the service in traces", parse: asIs },
} as const satisfies Record<string, Setting>;

type Settings = typeof SETTINGS;
type Name = keyof Settings;
type Value<One extends Name> =
  | ReturnType<Settings[One]["parse"]>
  | (Settings[One] extends { default: string } ? never : undefined);

/** The settings that NAME_FILE can give. */
const SECRETS = (Object.entries(SETTINGS) as [Name, Setting][])
  .filter(([, { secret }]) => secret)
  .map(([name]) => name);

/** The text of a setting, and where it comes from. */
interface Source {
  text: string | undefined;
  from: "environment" | "file" | "default";
}

/** Finds the text of each setting. Adds what is wrong with NAME_FILE to the problems. */
function sourcesOf(environment: Record<string, string | undefined>, problems: string[]): Map<Name, Source> {
  const sources = new Map<Name, Source>();
  for (const [name, setting] of Object.entries(SETTINGS) as [Name, Setting][]) {
    const own = environment[name];
    const file = setting.secret && environment[`${name}_FILE`];
    if (own && file) problems.push(`${name}_FILE: ${name} is set, too; set one of them`);
    if (own) sources.set(name, { text: own, from: "environment" });
    else if (!file) sources.set(name, { text: setting.default, from: "default" });
    else {
      try {
        sources.set(name, { text: textIn(file).trim(), from: "file" });
      } catch (error) {
        problems.push(`${name}_FILE: ${(error as Error).message} (it is ${JSON.stringify(shownPlace(file))})`);
      }
    }
  }
  return sources;
}

/** The value for people. */
function shown({ secret, show }: Setting, text: string): string {
  return show ? show(text) : secret ? HIDDEN : text;
}

/** The effective settings for people, without secrets. Throws a ConfigError like `readConfig`. */
export function describeConfig(environment: Record<string, string | undefined>) {
  readConfig(environment);
  return [...sourcesOf(environment, [])].map(([name, { text, from }]) => {
    return { name, value: text === undefined ? "" : shown(SETTINGS[name], text), from };
  });
}

/**
 * Reads the settings of a server from its environment. An empty variable counts as not set. Throws a ConfigError with
 * every problem: unknown USERLOCK_ names, invalid values, incomplete groups. Ignores the command line's variables
 * (USERLOCK_URL, USERLOCK_TOKEN).
 */
export function readConfig(environment: Record<string, string | undefined>) {
  const others = ["USERLOCK_URL", "USERLOCK_TOKEN", ...SECRETS.map((name) => `${name}_FILE`)];
  const problems = Object.keys(environment)
    .sort()
    .filter((name) => name.startsWith("USERLOCK_") && !Object.hasOwn(SETTINGS, name) && !others.includes(name))
    .map((name) => `${name}: the setting does not exist`);

  const sources = sourcesOf(environment, problems);
  const textOf = (name: Name) => sources.get(name)?.text;
  const values = new Map<Name, unknown>();
  for (const [name, setting] of Object.entries(SETTINGS) as [Name, Setting][]) {
    const text = textOf(name);
    if (text === undefined) continue;
    try {
      values.set(name, setting.parse(text));
    } catch (error) {
      const value = setting.secret ? "" : ` (it is ${JSON.stringify(shown(setting, text))})`;
      problems.push(`${name}: ${(error as Error).message}${value}`);
    }
  }
  const together = (names: Name[]) => {
    const absent = names.filter((name) => textOf(name) === undefined);
    if (absent.length > 0 && absent.length < names.length) {
      problems.push(`${absent.join(", ")}: missing; ${names.join(", ")} go together`);
    }
  };
  together(["USERLOCK_TLS_CERT", "USERLOCK_TLS_KEY"]);
  together(["USERLOCK_JWT_ISSUER", "USERLOCK_JWT_AUDIENCE", "USERLOCK_JWKS"]);
  const plainJwks = /^http:/.test(textOf("USERLOCK_JWKS") ?? "") && textOf("USERLOCK_JWKS");
  if (plainJwks && !isLoopback(plainJwks) && textOf("USERLOCK_JWKS_PLAIN_HTTP") !== "on") {
    problems.push(
      `USERLOCK_JWKS: http lets anyone on the network replace the keys; use https, or set USERLOCK_JWKS_PLAIN_HTTP=on (it is ${JSON.stringify(shownPlace(plainJwks))})`,
    );
  }
  const address = textOf("USERLOCK_ADMIN_LISTEN");
  if (address !== undefined && address === textOf("USERLOCK_LISTEN") && !address.endsWith(":0")) {
    problems.push(`USERLOCK_ADMIN_LISTEN: must differ from USERLOCK_LISTEN (it is ${JSON.stringify(address)})`);
  }
  if (textOf("USERLOCK_STORE") === "sqlite::memory:" && textOf("USERLOCK_ADMIN_TOKEN") === undefined) {
    problems.push(
      "USERLOCK_ADMIN_TOKEN: must be set with sqlite::memory:, which has no file to write the token beside",
    );
  }
  if (problems.length > 0) throw new ConfigError(problems);

  const get = <One extends Name>(name: One) => values.get(name) as Value<One>;
  const [cert, key] = [get("USERLOCK_TLS_CERT"), get("USERLOCK_TLS_KEY")];
  const [issuer, audience] = [get("USERLOCK_JWT_ISSUER"), get("USERLOCK_JWT_AUDIENCE")];
  const collector = get("OTEL_EXPORTER_OTLP_ENDPOINT");
  const [jwks, rolesClaim] = [get("USERLOCK_JWKS"), get("USERLOCK_JWT_ROLES_CLAIM")];
  return {
    ...get("USERLOCK_LISTEN"),
    /** The address of the admin listener. */
    adminListen: get("USERLOCK_ADMIN_LISTEN"),
    store: get("USERLOCK_STORE"),
    adminToken: get("USERLOCK_ADMIN_TOKEN"),
    /** Whether other machines can reach the port without TLS. */
    isExposed: cert === undefined && !isLoopbackHost(get("USERLOCK_LISTEN").host),
    /** PEM. */
    tls: cert !== undefined && key !== undefined ? { cert, key } : undefined,
    corsOrigins: get("USERLOCK_CORS_ORIGINS") ?? [],
    instance: { id: get("USERLOCK_INSTANCE_ID"), domains: get("USERLOCK_INSTANCE_DOMAINS") ?? [] },
    jwt: issuer && audience && jwks ? { issuer, audience, jwks, rolesClaim } : undefined,
    /** The instance's key. Undefined: read from a file beside the store. */
    secretKey: get("USERLOCK_SECRET_KEY"),
    argon2: get("USERLOCK_ARGON2"),
    hashThreads: get("USERLOCK_HASH_THREADS") ?? availableParallelism(),
    /** Lifetimes of a session, and of a device after its last login, microseconds. */
    sessionLifetime: get("USERLOCK_SESSION_LIFETIME"),
    deviceLifetime: get("USERLOCK_DEVICE_LIFETIME"),
    /** 0: all addresses share the limits. */
    connectionsPerAddress: get("USERLOCK_CONNECTIONS_PER_ADDRESS"),
    /** Microseconds. 0: no limit. */
    connectionAge: get("USERLOCK_CONNECTION_AGE"),
    logLevel: get("USERLOCK_LOG_LEVEL"),
    accessLog: get("USERLOCK_ACCESS_LOG"),
    /** Undefined: there are no traces. */
    traces:
      collector === undefined
        ? undefined
        : { endpoint: collector, serviceName: get("OTEL_SERVICE_NAME"), ratio: get("OTEL_TRACES_SAMPLER_ARG") },
    /** Whether files with secrets may be open to other users of the machine. */
    allowsInsecureFiles: get("USERLOCK_INSECURE_FILES") === "allow",
  };
}
