import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import Provider from "oidc-provider";

export const AUDIENCE = "https://userlock.example.com";
export const CLIENT = "console";
const SECRET = "secret-of-the-console";

/** A server on a free port whose handler may come later. */
async function serve() {
  let handler: RequestListener = (_, response) => response.writeHead(503).end();
  const server = createServer((request, response) => handler(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    handle(next: RequestListener) {
      handler = next;
    },
    async stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

const settingsOf = (issuer: string, jwks: string) => ({
  USERLOCK_JWT_ISSUER: issuer,
  USERLOCK_JWT_AUDIENCE: AUDIENCE,
  USERLOCK_JWKS: jwks,
  USERLOCK_OIDC_CLIENT_ID: CLIENT,
  USERLOCK_OIDC_CLIENT_SECRET: SECRET,
});

/** Without the provider's warnings that it is not for production. */
function quietly<Result>(make: () => Result): Result {
  const { warn } = console;
  console.warn = () => {};
  try {
    return make();
  } finally {
    console.warn = warn;
  }
}

/** The published OpenID provider for Node. Everyone may log in, with any password, as an INSTANCE_OWNER. */
export async function startProvider() {
  const server = await serve();
  const { privateKey } = await generateKeyPair("ES256", { extractable: true });
  return {
    settings: settingsOf(server.url, `${server.url}/jwks`),
    url: server.url,
    /** Lets the console of a server log admins in. */
    async admit(home: string) {
      const jwk = { ...(await exportJWK(privateKey)), alg: "ES256", use: "sig", kid: "k" };
      const provider = quietly(
        () =>
          new Provider(server.url, {
            clients: [
              {
                client_id: CLIENT,
                client_secret: SECRET,
                redirect_uris: [`${home}/console/_oidc/callback`],
                post_logout_redirect_uris: [`${home}/console/`],
                id_token_signed_response_alg: "ES256",
              },
            ],
            jwks: { keys: [jwk] },
            cookies: { keys: ["of-the-tests"] },
            ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, IdToken: 600 },
            pkce: { required: () => true },
            findAccount: (_: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
            extraTokenClaims: () => ({ roles: ["INSTANCE_OWNER"] }),
            features: {
              rpInitiatedLogout: {
                logoutSource(context, form) {
                  context.body = `${form}<button form="op.logoutForm" name="logout" value="yes">Yes, log out</button>`;
                },
              },
              resourceIndicators: {
                enabled: true,
                defaultResource: () => AUDIENCE,
                useGrantedResource: () => true,
                getResourceServerInfo: () => ({
                  scope: "",
                  audience: AUDIENCE,
                  accessTokenTTL: 600,
                  accessTokenFormat: "jwt",
                  jwt: { sign: { alg: "ES256" } },
                }),
              },
            },
          }),
      );
      server.handle(provider.callback());
    },
    stop: server.stop,
  };
}

/** What the token endpoint of the scripted issuer answers. */
export interface Script {
  /** Changes of the access token's claims, or a token that is no JWT. */
  access?: JWTPayload | string;
  /** Changes of the ID token's claims. */
  id?: JWTPayload;
  status?: number;
}

/** An issuer that answers as its script says, also wrongly. */
export async function startScriptedIssuer() {
  const server = await serve();
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const keys = [{ ...(await exportJWK(publicKey)), alg: "ES256", kid: "k" }];
  const asked: URLSearchParams[] = [];
  let script: Script = {};
  let nonce = "";
  let isAway = false;
  const sign = (claims: JWTPayload) => {
    const now = Math.floor(Date.now() / 1_000);
    return new SignJWT({ iss: server.url, sub: "ada", iat: now, exp: now + 600, ...claims })
      .setProtectedHeader({ alg: "ES256", kid: "k" })
      .sign(privateKey);
  };

  async function answer(request: IncomingMessage): Promise<object> {
    const { pathname } = new URL(request.url as string, server.url);
    if (pathname === "/jwks") return { keys };
    if (pathname === "/.well-known/openid-configuration") {
      return {
        issuer: server.url,
        authorization_endpoint: `${server.url}/authorize`,
        token_endpoint: `${server.url}/token`,
        end_session_endpoint: `${server.url}/logout`,
        jwks_uri: `${server.url}/jwks`,
        id_token_signing_alg_values_supported: ["ES256"],
      };
    }
    asked.push(new URLSearchParams(await text(request)));
    const { access = {}, id = {}, status } = script;
    if (status !== undefined) return { error: "invalid_grant", error_description: "no" };
    const claims = { aud: AUDIENCE, roles: ["INSTANCE_VIEWER"] };
    return {
      token_type: "Bearer",
      expires_in: 600,
      access_token: typeof access === "string" ? access : await sign({ ...claims, ...access }),
      id_token: await sign({ aud: CLIENT, nonce, ...id }),
    };
  }

  server.handle((request, response) => {
    if (isAway) {
      response.destroy();
      return;
    }
    void answer(request).then((body) => {
      const isToken = request.url === "/token";
      response.writeHead(isToken ? (script.status ?? 200) : 200, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    });
  });

  return {
    settings: settingsOf(server.url, `${server.url}/jwks`),
    url: server.url,
    /** What the token endpoint was asked. */
    asked,
    /** What it answers from now on, for the nonce of a log-in. */
    play(next: Script, ofNonce: string) {
      script = next;
      nonce = ofNonce;
    },
    setAway(next: boolean) {
      isAway = next;
    },
    stop: server.stop,
  };
}
