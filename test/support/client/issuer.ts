import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

const ISSUER = "https://issuer.example.com";
const AUDIENCE = "app";

/** An issuer of JWTs that publishes its keys on a free port. */
export async function startIssuer() {
  let { publicKey, privateKey } = await generateKeyPair("EdDSA");
  let isAway = false;
  let fetches = 0;
  const server = createServer(async (_, response) => {
    fetches++;
    if (isAway) response.writeHead(503).end();
    else response.end(JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), alg: "EdDSA" }] }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const jwks = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return {
    /** For a guard. */
    jwt: { issuer: ISSUER, audience: AUDIENCE, jwks },
    /** For a server. */
    settings: { USERLOCK_JWT_ISSUER: ISSUER, USERLOCK_JWT_AUDIENCE: AUDIENCE, USERLOCK_JWKS: jwks },
    /** The number of times that the keys were fetched. */
    fetches: () => fetches,
    setAway(next: boolean) {
      isAway = next;
    },
    async newKeys() {
      ({ publicKey, privateKey } = await generateKeyPair("EdDSA"));
    },
    /** A JWT that is good for ten minutes. */
    sign(
      subject: string,
      { claims = {}, header = {}, lifeS = 600 }: { claims?: object; header?: object; lifeS?: number } = {},
    ) {
      const now = Math.floor(Date.now() / 1_000);
      const all = { iss: ISSUER, aud: AUDIENCE, sub: subject, iat: now, exp: now + lifeS, ...claims };
      return new SignJWT(all).setProtectedHeader({ alg: "EdDSA", ...header }).sign(privateKey);
    },
    async stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A started issuer. */
export type Issuer = Awaited<ReturnType<typeof startIssuer>>;
