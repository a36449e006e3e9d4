import { availableParallelism } from "node:os";
import { SETTINGS, type Setting } from "./settings.ts";
import { HIDDEN, isHttpsUrl, isLoopback, isLoopbackHost, shownPlace, textIn } from "./values.ts";

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
  const clientId = textOf("USERLOCK_OIDC_CLIENT_ID");
  const issuerText = textOf("USERLOCK_JWT_ISSUER");
  if (clientId === undefined && textOf("USERLOCK_OIDC_CLIENT_SECRET") !== undefined) {
    problems.push("USERLOCK_OIDC_CLIENT_ID: missing; USERLOCK_OIDC_CLIENT_SECRET goes with it");
  }
  if (clientId !== undefined && issuerText === undefined) {
    problems.push("USERLOCK_JWT_ISSUER: missing; USERLOCK_OIDC_CLIENT_ID is a client of this issuer");
  } else if (clientId !== undefined && issuerText !== undefined && !isHttpsUrl(issuerText) && !isLoopback(issuerText)) {
    problems.push(
      `USERLOCK_JWT_ISSUER: must be an https URL, because the console logs admins in there (it is ${JSON.stringify(issuerText)})`,
    );
  }
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
  const adminListen = get("USERLOCK_ADMIN_LISTEN");
  const isConsoleApart = adminListen !== undefined && get("USERLOCK_CONSOLE") === "on";
  const collector = get("OTEL_EXPORTER_OTLP_ENDPOINT");
  const [jwks, rolesClaim] = [get("USERLOCK_JWKS"), get("USERLOCK_JWT_ROLES_CLAIM")];
  return {
    ...get("USERLOCK_LISTEN"),
    /** The address of the admin listener. */
    adminListen,
    store: get("USERLOCK_STORE"),
    adminToken: get("USERLOCK_ADMIN_TOKEN"),
    /** Whether other machines can reach the port without TLS. */
    isExposed: cert === undefined && !isLoopbackHost(get("USERLOCK_LISTEN").host),
    /** PEM. */
    tls: cert !== undefined && key !== undefined ? { cert, key } : undefined,
    corsOrigins: get("USERLOCK_CORS_ORIGINS") ?? [],
    /** The listener that serves the console. Undefined: none. */
    console: get("USERLOCK_CONSOLE") === "off" ? undefined : isConsoleApart ? ("admin" as const) : ("main" as const),
    /** Whether other machines can reach the console on the admin listener, which has no TLS. */
    isConsoleExposed: isConsoleApart && !isLoopbackHost(adminListen.host),
    authz: { gatewayToken: get("USERLOCK_AUTHZ_TOKEN"), loginOrigins: get("USERLOCK_LOGIN_ORIGINS") ?? [] },
    instance: { id: get("USERLOCK_INSTANCE_ID"), domains: get("USERLOCK_INSTANCE_DOMAINS") ?? [] },
    jwt: issuer && audience && jwks ? { issuer, audience, jwks, rolesClaim } : undefined,
    /** The client of the console at that issuer. */
    oidc:
      issuer && clientId
        ? { issuer, clientId, clientSecret: get("USERLOCK_OIDC_CLIENT_SECRET"), scopes: get("USERLOCK_OIDC_SCOPES") }
        : undefined,
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

/** The addresses that mean all addresses of the machine. */
const ANY: Record<string, string> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/** The server with the console, for a browser on its machine: `http://127.0.0.1:8080`. Undefined without a console. */
export function consoleAddress(config: Config): string | undefined {
  if (config.console === undefined) return undefined;
  const apart = config.console === "admin" ? config.adminListen : undefined;
  const { host, port } = apart ?? config;
  const name = ANY[host] ?? host;
  const scheme = config.tls && !apart ? "https" : "http";
  return `${scheme}://${name.includes(":") ? `[${name}]` : name}:${port}`;
}
