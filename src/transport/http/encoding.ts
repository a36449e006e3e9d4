import { compressionGzip } from "@connectrpc/connect-node";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { refusal } from "../../rpc/errors.ts";
import { tooLarge } from "./body.ts";
import { type Exchange, headerOf } from "./exchange.ts";
import { HttpRefusal } from "./status.ts";

/** Shorter messages, in bytes, are never compressed. */
export const COMPRESS_FROM_BYTES = 1_024;

/** The headers with the coding of a message, and with the accepted codings, by protocol. */
const CODED = ["content-encoding", "connect-content-encoding", "grpc-encoding"] as const;
const ACCEPTED = ["accept-encoding", "connect-accept-encoding", "grpc-accept-encoding"] as const;

export function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  return compressionGzip.compress(bytes as Uint8Array<ArrayBuffer>);
}

/** Parses a coding: lower case, `x-gzip` as gzip (RFC 9110, section 8.4.1), identity by default. */
export function codingOf(header: string | undefined): string {
  const coding = header?.trim().toLowerCase() ?? "";
  if (coding === "x-gzip") return "gzip";
  return coding === "" ? "identity" : coding;
}

/** Whether a list of accepted codings (RFC 9110, section 12.5.3) has this one and does not prefer identity. */
export function acceptsCoding(accepted: string | undefined, coding: string): boolean {
  if (!accepted) return false;
  const weights = new Map<string, number>();
  for (const item of accepted.split(",")) {
    const [name, parameter = "q=1"] = item.split(";");
    // An invalid weight counts as 0, because every client can read uncompressed data.
    const weight = /^q=(0(\.\d{0,3})?|1(\.0{0,3})?)$/i.exec(parameter.trim())?.[1] ?? 0;
    weights.set(codingOf(name), Number(weight));
  }
  const weightOfCoding = weights.get(coding) ?? weights.get("*") ?? 0;
  return weightOfCoding > 0 && weightOfCoding >= (weights.get("identity") ?? 0);
}

/** `acceptsCoding` for gzip. */
export function acceptsGzip(accepted: string | undefined): boolean {
  return acceptsCoding(accepted, "gzip");
}

/** Rewrites codings to the spelling that Connect's router expects. */
export function normalizeCodings(header: Headers): void {
  for (const name of CODED) {
    const value = header.get(name);
    if (value !== null) header.set(name, codingOf(value));
  }
  for (const name of ACCEPTED) {
    const value = header.get(name);
    if (value !== null) header.set(name, acceptsGzip(value) ? "gzip" : "identity");
  }
}

/**
 * The coding of an RPC's messages. For an unknown one, also the response header with the known coding, which gRPC's
 * compression.md and Connect's protocol require with UNIMPLEMENTED. The header must be normalized.
 */
export function rpcCodingOf(header: Headers): { coding: string; known: Record<string, string> } {
  const type = header.get("content-type")?.toLowerCase() ?? "";
  const protocol = type.startsWith("application/grpc") ? 2 : type.startsWith("application/connect") ? 1 : 0;
  const coding = codingOf(header.get(CODED[protocol]) ?? undefined);
  const isKnown = coding === "identity" || coding === "gzip";
  return { coding, known: isKnown ? {} : { [ACCEPTED[protocol]]: "gzip" } };
}

/**
 * Decompresses the content of a plain HTTP request. Rejects with INVALID_REQUEST, with TOO_LARGE beyond `limit` bytes,
 * or with an HttpRefusal of 415.
 */
export async function decompress(
  bytes: Buffer,
  { headers }: Pick<Exchange, "headers">,
  limit: number,
): Promise<Uint8Array> {
  const coding = codingOf(headerOf(headers, "content-encoding"));
  if (coding === "identity") return bytes;
  if (coding !== "gzip") {
    const error = refusal("INVALID_REQUEST", "The Content-Encoding is not supported. Use gzip, or none.");
    throw new HttpRefusal(415, error, { "accept-encoding": "gzip" });
  }
  return gunzip(bytes, limit);
}

/** Decompresses gzip. Rejects with INVALID_REQUEST, or with TOO_LARGE beyond `limit` bytes. */
export async function gunzip(bytes: Uint8Array, limit: number): Promise<Uint8Array> {
  try {
    return await compressionGzip.decompress(bytes as Uint8Array<ArrayBuffer>, limit);
  } catch (error) {
    if ((error as { code?: number }).code === Code.RESOURCE_EXHAUSTED) throw tooLarge(limit);
    throw refusal("INVALID_REQUEST", "The body is not valid gzip.");
  }
}
