import type { Configuration } from "openid-client";

/** The client that the console is at the issuer of OpenID Connect. */
export interface OidcSettings {
  issuer: string;
  clientId: string;
  /** Undefined: a public client, which PKCE protects. */
  clientSecret: string | undefined;
  /** Separated by spaces; `openid` is one. */
  scopes: string;
}

/** What a browser keeps, sealed, while it logs in at the issuer. */
export interface Flow {
  state: string;
  nonce: string;
  /** The verifier of PKCE (RFC 7636). */
  verifier: string;
  /** The origin of the console's page, as the browser sees it. */
  origin: string;
  /** When it ends, milliseconds since the Unix epoch. */
  ends: number;
}

/** Why a log-in at the issuer did not end well. The page has a sentence for each. */
export type OidcRefusal = "denied" | "late" | "failed";

export class OidcRefused extends Error {
  readonly why: OidcRefusal;

  constructor(why: OidcRefusal, options?: ErrorOptions) {
    super(`the log-in at the issuer: ${why}`, options);
    this.why = why;
  }
}

export const CALLBACK = "/console/_oidc/callback";
/** How long an admin may take at the issuer, milliseconds. */
export const FLOW_MS = 10 * 60 * 1_000;
const TIMEOUT_S = 5;
/** The exchanges that run at once. Strangers can begin them, and each asks the issuer. */
const AT_ONCE = 16;
/** Failures are logged once in this time. */
const LOG_EACH_MS = 60_000;

export type Oidc = ReturnType<typeof createOidc>;

/**
 * The authorization code flow with PKCE (RFC 6749, section 4.1; RFC 7636) by openid-client. The issuer's metadata is
 * read at first use, and again after a failure. `onError` gets failures of the issuer, at most once a minute.
 */
export function createOidc(settings: OidcSettings, onError: (error: Error) => void) {
  let discovered: Promise<Configuration> | undefined;
  let running = 0;
  let logged = Number.NEGATIVE_INFINITY;

  // Loaded on demand, because few servers have an issuer.
  const load = () => import("openid-client");

  async function discover(): Promise<Configuration> {
    const client = await load();
    const issuer = new URL(settings.issuer);
    const { clientSecret } = settings;
    const authentication = clientSecret === undefined ? client.None() : client.ClientSecretBasic(clientSecret);
    return client.discovery(issuer, settings.clientId, undefined, authentication, {
      timeout: TIMEOUT_S,
      // The settings allow plain http on this machine only.
      ...(issuer.protocol === "http:" && { execute: [client.allowInsecureRequests] }),
    });
  }

  function configuration(): Promise<Configuration> {
    discovered ??= discover();
    return discovered;
  }

  function report(message: string): void {
    const now = performance.now();
    if (now - logged < LOG_EACH_MS) return;
    logged = now;
    onError(new Error(message));
  }

  /** The refusal for a page. Reports what the issuer did wrong, without its answer, which may have tokens. */
  async function refusalOf(error: unknown): Promise<OidcRefused> {
    if (error instanceof OidcRefused) return error;
    const { AuthorizationResponseError, ResponseBodyError } = await load();
    if (error instanceof AuthorizationResponseError && error.error === "access_denied")
      return new OidcRefused("denied");
    const isAnswer = error instanceof AuthorizationResponseError || error instanceof ResponseBodyError;
    // The issuer may have moved.
    if (!isAnswer) discovered = undefined;
    const { message, code } = error as Error & { code?: string };
    report(isAnswer ? `${message}: ${error.error}: ${error.error_description}` : `${message} (${code})`);
    return new OidcRefused("failed");
  }

  return {
    /** Reports a failure of the issuer, at most once a minute. */
    report,
    /** The host of the issuer, for people. */
    host: new URL(settings.issuer).host,
    /** Where a browser logs in, and what it keeps meanwhile. Rejects with OidcRefused. */
    async begin(origin: string): Promise<{ location: string; flow: Flow }> {
      try {
        const [client, config] = await Promise.all([load(), configuration()]);
        const [state, nonce, verifier] = [client.randomState(), client.randomNonce(), client.randomPKCECodeVerifier()];
        const location = client.buildAuthorizationUrl(config, {
          redirect_uri: origin + CALLBACK,
          scope: settings.scopes,
          state,
          nonce,
          code_challenge: await client.calculatePKCECodeChallenge(verifier),
          code_challenge_method: "S256",
        });
        return { location: location.href, flow: { state, nonce, verifier, origin, ends: Date.now() + FLOW_MS } };
      } catch (error) {
        throw await refusalOf(error);
      }
    },
    /** The access token for the code in the query of the callback. Rejects with OidcRefused. */
    async finish(flow: Flow, query: string): Promise<string> {
      // A link to the callback that another one began. The library would refuse it, too, but as the issuer's failure.
      if (new URLSearchParams(query).get("state") !== flow.state) throw new OidcRefused("late");
      if (running >= AT_ONCE) throw new OidcRefused("failed");
      running++;
      try {
        const [client, config] = await Promise.all([load(), configuration()]);
        const answer = await client.authorizationCodeGrant(config, new URL(`${flow.origin}${CALLBACK}?${query}`), {
          expectedState: flow.state,
          expectedNonce: flow.nonce,
          pkceCodeVerifier: flow.verifier,
        });
        return answer.access_token;
      } catch (error) {
        throw await refusalOf(error);
      } finally {
        running--;
      }
    },
    /** Where a browser logs out at the issuer (OpenID Connect RP-Initiated Logout 1.0). Undefined if it cannot. */
    async endOf(origin: string): Promise<string | undefined> {
      try {
        const [client, config] = await Promise.all([load(), configuration()]);
        if (!config.serverMetadata().end_session_endpoint) return undefined;
        return client.buildEndSessionUrl(config, { post_logout_redirect_uri: `${origin}/console/` }).href;
      } catch (error) {
        await refusalOf(error);
        return undefined;
      }
    },
  };
}
