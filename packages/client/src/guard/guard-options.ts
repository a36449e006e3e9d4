import { checkNumber, checkOption, checkText } from "../check-options.ts";
import type { ConnectionOptions } from "../connection.ts";
import type { UserlockError } from "../errors.ts";
import type { JwtOptions } from "./jwt.ts";
import type { Refusal } from "./verdict.ts";

/** Options of `createGuard`. At least one of `jwt` and `introspect` is needed. */
export interface GuardOptions extends ConnectionOptions {
  /** Accepts JWTs of this issuer. They are verified here. */
  jwt?: JwtOptions;
  /** Accepts tokens of userlock's sessions. The server is asked, and its answer is kept for `cacheMs`. */
  introspect?: boolean;
  /**
   * Follows only users of this organization, for a token with the role GATEWAY in it. JWTs of other organizations' users are
   * admitted, also of locked ones.
   */
  organizationId?: string;
  /** What to do while the set of denied users is not current. The default is "introspect". */
  whenStale?: "introspect" | "deny" | "allow";
  /** How long without a sign of life of the server until the set is stale, milliseconds, 30,000 by default. */
  maxStaleMs?: number;
  /** How long the answer about a session's token is kept, milliseconds, 10,000 by default. */
  cacheMs?: number;
  /** The number of tokens of each kind in memory, 10,000 by default. */
  maxCached?: number;
  /** The longest wait for the server's answer about a token, milliseconds, 3,000 by default. */
  timeoutMs?: number;
  /** Called when a good token of a denied user is refused. */
  onDenied?: (refusal: Refusal) => void;
  /** Called when the set becomes stale. */
  onStale?: () => void;
  /** Called when a stream fails. It is opened again in any case. */
  onError?: (error: UserlockError) => void;
  /** Closes the guard. */
  signal?: AbortSignal;
}

const POLICIES = ["introspect", "deny", "allow"];

/** Throws TypeError for an option that is not allowed. `connect` checks `url` and `token`, and the verifier `jwt`. */
export function checkGuardOptions(options: GuardOptions): void {
  const { maxStaleMs, cacheMs, maxCached, timeoutMs, whenStale = "introspect", introspect = false } = options;
  checkOption("introspect", typeof introspect === "boolean", "true or false");
  checkOption("jwt or introspect", introspect || Boolean(options.jwt), "set");
  for (const [name, value] of Object.entries({ maxStaleMs, cacheMs, maxCached })) checkNumber(name, value);
  checkNumber("timeoutMs", timeoutMs, 1);
  checkOption("whenStale", POLICIES.includes(whenStale), `one of ${POLICIES.join(", ")}`);
  if (options.organizationId !== undefined) checkText("organizationId", options.organizationId);
  for (const name of ["onDenied", "onStale", "onError"] as const) {
    checkOption(name, options[name] === undefined || typeof options[name] === "function", "a function");
  }
}
