// Proves that every case of Connect's own suite passes: https://github.com/connectrpc/conformance.
import { writeFileSync } from "node:fs";
import { runCommand } from "../support/servers/command.ts";
import { temporaryFolder } from "../support/servers/server-process.ts";
import { runners } from "./runners/install.ts";

const { connect, contract } = runners();
const folder = temporaryFolder();
afterAll(() => folder.remove());

/** The kinds of methods. Streams in both directions need HTTP/2. */
const KINDS = ["UNARY", "CLIENT_STREAM", "SERVER_STREAM"];
const BIDI_KINDS = ["HALF_DUPLEX_BIDI_STREAM", "FULL_DUPLEX_BIDI_STREAM"];

/** What the doors do. They support no client certificates, and no coding but gzip. */
const features = (version: number, protocol: string, kinds: readonly string[]) => ({
  versions: [`HTTP_VERSION_${version}`],
  protocols: [`PROTOCOL_${protocol}`],
  codecs: ["CODEC_PROTO", "CODEC_JSON"],
  compressions: ["COMPRESSION_IDENTITY", "COMPRESSION_GZIP"],
  stream_types: kinds.map((kind) => `STREAM_TYPE_${kind}`),
  supports_h2c: version === 2,
  supports_tls: true,
  supports_tls_client_certs: false,
  supports_trailers: true,
  supports_half_duplex_bidi_over_http1: false,
  supports_connect_get: true,
  supports_message_receive_limit: true,
});

/** Runs the suite, of which no case may fail. Resolves with the number of its cases. */
async function casesOf(version: number, protocol: string, kinds: readonly string[], flags: string[]): Promise<number> {
  const config = folder.file(`${version}-${protocol}-${kinds.length}.yaml`);
  // JSON is YAML.
  writeFileSync(config, JSON.stringify({ features: features(version, protocol, kinds) }));
  const server = [process.execPath, process.env.CONFORMANCE_SERVER as string, contract, ...flags];
  const args = ["--mode", "server", "--conf", config, "--max-servers", "2", "--", ...server];
  const { code, stdout, stderr } = await runCommand(connect, args);
  const output = stdout + stderr;
  const [, cases, passed, failed] = /^Total cases: (\d+)\n(\d+) passed, (\d+) failed$/m.exec(output) ?? [];
  const what = [protocol, `HTTP/${version}`, ...flags].join(" ");
  process.stderr.write(`connectconformance ${what}: ${cases} cases, ${passed} passed, ${failed} failed\n`);
  if (code !== 0 || failed !== "0" || passed !== cases) throw new Error(output);
  return Number(cases);
}

describe.each([
  { protocol: "CONNECT", version: 1, cases: 674, unary: 344 },
  { protocol: "CONNECT", version: 2, cases: 848, unary: 344 },
  { protocol: "GRPC", version: 2, cases: 872, unary: 275 },
  { protocol: "GRPC_WEB", version: 1, cases: 534, unary: 222 },
  { protocol: "GRPC_WEB", version: 2, cases: 692, unary: 222 },
])("Connect's suite over $protocol and HTTP/$version", ({ protocol, version, cases, unary }) => {
  test(`passes all its ${cases} cases`, async () => {
    const kinds = version === 1 ? KINDS : [...KINDS, ...BIDI_KINDS];
    expect(await casesOf(version, protocol, kinds, [])).toBe(cases);
  });

  test(`passes its ${unary} unary cases without the unary door`, async () => {
    expect(await casesOf(version, protocol, ["UNARY"], ["--without-unary-door"])).toBe(unary);
  });
});
