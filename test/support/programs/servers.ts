import { makeCertificate } from "../servers/certificate.ts";
import { freePort } from "../servers/free-port.ts";
import { ADMIN_TOKEN, startServer, startUserlock, temporaryFolder } from "../servers/server-process.ts";

/** The servers that a client program calls, with the environment that leads it there. */
export interface ClientServers {
  /** `ADDRESS` and `TLS_ADDRESS` are of the form `host:port`, `URL` is that of ADDRESS. `CA_FILE` and `TOKEN` go with both. */
  environment: { ADDRESS: string; URL: string; TLS_ADDRESS: string; CA_FILE: string; TOKEN: string };
  stop(): Promise<void>;
}

/** Starts a server in the clear and one with TLS. */
export async function startServers(): Promise<ClientServers> {
  const folder = temporaryFolder();
  const { certFile, settings } = await makeCertificate(folder);
  const [clear, tls] = await Promise.all([startServer(), startServer(settings)]);
  return {
    environment: {
      ADDRESS: new URL(clear.url).host,
      URL: clear.url,
      // The certificate names localhost too, but the server listens on the address only.
      TLS_ADDRESS: new URL(tls.url).host,
      CA_FILE: certFile,
      TOKEN: ADMIN_TOKEN,
    },
    async stop() {
      await Promise.all([clear.stop(), tls.stop()]);
      folder.remove();
    },
  };
}

/** A server that keeps its users in a file, and starts again at the same address. */
export interface RestartingServer {
  environment: { ADDRESS: string; URL: string; TOKEN: string };
  /** Stops the server as operators do, waits, and starts it again. */
  restart(downMs: number): Promise<void>;
  stop(): Promise<void>;
}

export async function startRestarting(): Promise<RestartingServer> {
  const folder = temporaryFolder();
  const listen = `127.0.0.1:${await freePort()}`;
  const start = () =>
    startUserlock({ USERLOCK_LISTEN: listen, USERLOCK_STORE: `sqlite:${folder.file("userlock.db")}` });
  let server = await start();
  return {
    environment: { ADDRESS: listen, URL: server.url, TOKEN: ADMIN_TOKEN },
    async restart(downMs) {
      const code = await server.stop();
      if (code !== 0) throw new Error(`the server ended with ${code}:\n${server.stderr()}`);
      await new Promise((resolve) => setTimeout(resolve, downMs));
      server = await start();
    },
    async stop() {
      await server.stop();
      folder.remove();
    },
  };
}
