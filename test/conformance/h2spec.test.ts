// Proves that HTTP/2 is as in RFC 9113, but for a list of exceptions: https://github.com/summerwind/h2spec.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { makeCertificate } from "../support/servers/certificate.ts";
import { runCommand } from "../support/servers/command.ts";
import { type ServerProcess, startServer, temporaryFolder } from "../support/servers/server-process.ts";
import { runners } from "./runners/install.ts";

interface Known {
  reason: string;
  /** Where it fails. Bare: a server of node:http2 alone, without userlock. */
  where: ("clear" | "TLS" | "bare")[];
  /** It fails or passes, depending on which of two writes comes first. */
  isRace?: true;
}

const ALL: Known["where"] = ["clear", "TLS", "bare"];
const ANSWERED = "Node has written its answer before it reads the invalid frame.";
const IGNORED = "nghttp2 ignores frames of closed streams, which RFC 9113, section 5.1 allows for a while.";
const NO_PRIORITY = "nghttp2 ignores PRIORITY frames, which RFC 9113, section 5.3.2 deprecates.";

/** The failing cases by section and number. */
const KNOWN = new Map<string, Known>([
  [
    "http2/3.5/2",
    { reason: "Without a valid preface it is HTTP/1.1, which gets an answer in HTTP/1.1.", where: ["clear"] },
  ],
  ["http2/5.1/5", { reason: ANSWERED, where: ALL, isRace: true }],
  ["http2/5.1/6", { reason: ANSWERED, where: ALL, isRace: true }],
  ["http2/5.1/8", { reason: IGNORED, where: ALL }],
  ["http2/5.1/9", { reason: IGNORED, where: ALL }],
  ["http2/5.1/11", { reason: IGNORED, where: ALL }],
  ["http2/5.1/12", { reason: IGNORED, where: ALL }],
  ["http2/5.1.1/2", { reason: "nghttp2 ignores a stream with a lower number than the last.", where: ALL }],
  ["http2/5.3.1/2", { reason: NO_PRIORITY, where: ALL }],
  ["http2/6.1/2", { reason: ANSWERED, where: ALL, isRace: true }],
  ["http2/6.3/1", { reason: NO_PRIORITY, where: ALL }],
  [
    "http2/6.7/2",
    { reason: "Node closes a connection with a PING acknowledgement that it did not ask for.", where: ALL },
  ],
  ["http2/6.9.1/3", { reason: "nghttp2 closes the connection rather than the stream.", where: ALL }],
  ["http2/8.1.2.6/2", { reason: ANSWERED, where: ALL, isRace: true }],
]);

/** How often a case that is not on the list must fail in a row. h2spec itself loses races on a busy machine. */
const TRIES = 4;

/** The number of cases. One of them does not apply to servers that send no content. */
const CASES = 145;

const folder = temporaryFolder();
const bare = createServer((_request, response) => response.end("bare"));
let clear: ServerProcess;
let secure: ServerProcess;
/** The failed cases by server. */
const failed = new Map<Known["where"][number], string[]>();

beforeAll(async () => {
  const { settings } = await makeCertificate(folder);
  [clear, secure] = await Promise.all([startServer(), startServer(settings)]);
  bare.on("sessionError", () => {});
  await once(bare.listen(0, "127.0.0.1"), "listening");
  const { port } = bare.address() as AddressInfo;
  // Nearly all of the time is spent waiting.
  const runs = [
    ["clear", new URL(clear.url).port, []],
    ["TLS", new URL(secure.url).port, ["--tls", "--insecure"]],
    ["bare", String(port), []],
  ] as const;
  await Promise.all(runs.map(async ([name, of, flags]) => failed.set(name, await failedCases(name, of, flags))));
});

afterAll(async () => {
  await Promise.all([clear?.stop(), secure?.stop()]);
  bare.close();
  folder.remove();
});

async function failedCases(name: string, port: string, flags: readonly string[]): Promise<string[]> {
  const report = folder.file(`${name}.xml`);
  const args = ["--port", port, "--path", "/healthz", "--junit-report", report, ...flags];
  const { stdout, stderr } = await runCommand(runners().h2spec, args);
  const summary = /^\d+ tests, \d+ passed, \d+ skipped, \d+ failed$/m.exec(stdout)?.[0];
  if (!summary) throw new Error(`h2spec did not finish:\n${stdout}${stderr}`);
  process.stderr.write(`h2spec ${name}: ${summary}\n`);
  expect(summary).toMatch(new RegExp(`^${CASES} tests, `));
  const found = casesIn(readFileSync(report, "latin1")).filter(({ isFailed }) => isFailed);
  const failing: string[] = [];
  for (const { id } of found) if (KNOWN.has(id) || (await failsAgain(id, port, flags))) failing.push(id);
  return failing;
}

/** Runs one case again, until it passes. */
async function failsAgain(id: string, port: string, flags: readonly string[]): Promise<boolean> {
  for (let tries = 1; tries < TRIES; tries++) {
    const { stdout } = await runCommand(runners().h2spec, [id, "--port", port, "--path", "/healthz", ...flags]);
    process.stderr.write(`h2spec ${id}, again: ${/^\d+ tests, .*$/m.exec(stdout)?.[0]}\n`);
    if (/^1 tests, 1 passed/m.test(stdout)) return false;
  }
  return true;
}

/** The cases of a JUnit report, numbered within their sections as h2spec's own arguments are. */
function casesIn(xml: string): { id: string; isFailed: boolean }[] {
  const counts = new Map<string, number>();
  return [...xml.matchAll(/<testcase package="([^"]+)"[^>]*>(.*?)<\/testcase>/gs)].map(
    ([, section = "", result = ""]) => {
      const number = (counts.get(section) ?? 0) + 1;
      counts.set(section, number);
      return { id: `${section}/${number}`, isFailed: /<(failure|error)/.test(result) };
    },
  );
}

describe.each(["clear", "TLS", "bare"] as const)("h2spec against the %s server", (name) => {
  test("fails no case that is not on the list", () => {
    const known = [...KNOWN].filter(([, { where }]) => where.includes(name)).map(([id]) => id);
    expect(failed.get(name)!.filter((id) => !known.includes(id))).toEqual([]);
  });

  test("fails each case on the list, but for races", () => {
    const known = [...KNOWN].filter(([, { where, isRace }]) => where.includes(name) && !isRace).map(([id]) => id);
    expect(known.filter((id) => !failed.get(name)!.includes(id))).toEqual([]);
  });
});

test("all cases on the list but one fail without userlock, too", () => {
  expect([...KNOWN].filter(([, { where }]) => !where.includes("bare")).map(([id]) => id)).toEqual(["http2/3.5/2"]);
});
