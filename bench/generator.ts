/**
 * Whether the generator of the load is in the way: the rate that it gets out of a server on bare node:http2 that does
 * nothing, as a ratio to what h2load (Debian's nghttp2-client) gets, which is written in C++ and sends one body for all.
 *
 *   npm run bench:generator
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { temporaryFile } from "./support/files.ts";
import { lockRequest } from "./support/lock-calls.ts";
import { lockByGrpc } from "./support/lock-calls.ts";
import { CALLS, loadOf } from "./support/lock-rate.ts";
import { pinGenerator, startPeer } from "./support/program.ts";
import { measure, show } from "./support/rounds.ts";
