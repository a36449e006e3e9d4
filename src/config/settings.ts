import { keyOf } from "../auth/instance-secrets.ts";
import { IDENTIFIER_RULE, isIdentifier } from "../domain/identifier.ts";
import { DURATION_RULE, durationOf } from "../duration.ts";
import { ACCESS_LOGS, LOG_LEVELS } from "../log.ts";
import {
  argon2Of,
  collectorOf,
  isOrigin,
  listOf,
  must,
  parseListen,
  scopesOf,
  shownPlace,
  shownStore,
  storeOf,
  textIn,
} from "./values.ts";

/** A setting: where its value comes from, what it means, and how it is read and shown. */
export interface Setting {
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

const BEARER_SECRET = /^[A-Za-z0-9._~+/-]{16,200}=*$/;
const BEARER_SECRET_RULE = "16 to 200 characters of A-Z a-z 0-9 . _ ~ + / -";

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
      "address of the admin listener, `host:port`, with `/metrics`, `/healthz` and `/readyz`; off by default",
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
    parse: matching(BEARER_SECRET, BEARER_SECRET_RULE),
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
  USERLOCK_CONSOLE: {
    default: "on",
    description:
      "admins use the console at `/console/`: `on` serves it on the admin listener if there is one, `public` on the main port in any case; `off` takes it away",
    parse: oneOf(["on", "public", "off"], "on, public or off"),
  },
  USERLOCK_AUTHZ_TOKEN: {
    description:
      "secret that gateways send to `/authz` in `x-userlock-gateway`; by default `/authz` needs none, because the user's token is the proof",
    secret: true,
    parse: matching(BEARER_SECRET, BEARER_SECRET_RULE),
  },
  USERLOCK_LOGIN_ORIGINS: {
    description:
      "origins of login pages, separated by commas, to which `/authz?redirect=` may send browsers, such as `https://login.example.com`",
    parse: (text) => listOf(text, "an origin such as https://login.example.com", isOrigin),
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
  USERLOCK_OIDC_CLIENT_ID: {
    description: "client that the console is at the issuer of JWTs; with it admins log in by OpenID Connect",
    parse: asIs,
  },
  USERLOCK_OIDC_CLIENT_SECRET: {
    description: "secret of that client; by default it has none, and PKCE protects the log-in",
    secret: true,
    parse: asIs,
  },
  USERLOCK_OIDC_SCOPES: {
    default: "openid",
    description: "scopes that the console asks the issuer for, separated by spaces; `openid` is one of them",
    parse: (text) => must("words with openid among them", scopesOf(text)),
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
    description: "address of an OpenTelemetry collector for traces, such as `http://127.0.0.1:4318`; off by default",
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
