import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { build, stop } from "esbuild";
import { type Browser, chromium } from "playwright-core";

/** A headless Chromium, from the path in CHROMIUM or Debian's package. It can reach 127.0.0.1 only. */
export async function launchChromium(): Promise<Browser> {
  const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
  if (!existsSync(executablePath)) {
    throw new Error(
      `There is no Chromium at ${executablePath}: install it (on Debian, "apt-get install chromium"), ` +
        "or set CHROMIUM to the path of a Chromium or Chrome.",
    );
  }
  return chromium.launch({
    executablePath,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ],
  });
}

/** The script of a page, bundled with its imports. */
export async function bundle(entryPoint: string): Promise<string> {
  const { outputFiles } = await build({ entryPoints: [entryPoint], bundle: true, write: false, format: "iife" });
  await stop();
  return outputFiles[0]?.text ?? "";
}

/** Serves an empty page with a script, on its own origin. */
export async function servePage(script: string): Promise<{ origin: string; close(): Promise<void> }> {
  const server = createServer(({ url }, response) => {
    const [type, body] =
      url === "/page.js"
        ? ["text/javascript", script]
        : ["text/html", '<!doctype html><script src="/page.js"></script>'];
    response.writeHead(200, { "content-type": `${type}; charset=utf-8` }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
