#!/usr/bin/env node
// The entry of userlock. It is JavaScript, because Node 20 cannot load a .ts file and ends with a stack trace.
import { existsSync } from "node:fs";
import { relative } from "node:path";

const NEEDED = 24;
/** EX_CONFIG of sysexits.h. */
const EX_CONFIG = 78;

const { version } = process;
// The package has no src: Node runs no TypeScript below node_modules.
const isCheckout = existsSync(new URL("../src", import.meta.url));
if (Number(version.slice(1).split(".")[0]) < NEEDED) {
  const hint = isCheckout ? ` In this checkout: npx node ${relative("", process.argv[1])}` : "";
  process.stderr.write(`userlock needs Node ${NEEDED} or newer; this is ${version.slice(1)}.${hint}\n`);
  process.exitCode = EX_CONFIG;
} else {
  const { main } = await import(isCheckout ? "../src/main.ts" : "../dist/src/main.js");
  await main();
}
