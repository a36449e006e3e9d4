#!/usr/bin/env node
// The entry of userlock. It is JavaScript, because Node 20 cannot load a .ts file and ends with a stack trace.
import { relative } from "node:path";

const NEEDED = 24;
/** EX_CONFIG of sysexits.h. */
const EX_CONFIG = 78;

const { version } = process;
if (Number(version.slice(1).split(".")[0]) < NEEDED) {
  const command = `npx node ${relative("", process.argv[1])}`;
  process.stderr.write(
    `userlock needs Node ${NEEDED} or newer; this is ${version.slice(1)}. In this checkout: ${command}\n`,
  );
  process.exitCode = EX_CONFIG;
} else {
  const { main } = await import("../src/main.ts");
  await main();
}
