/** Types of frames and their flags (RFC 9113, section 6). */
export const FRAME = { DATA: 0, HEADERS: 1, RST_STREAM: 3, SETTINGS: 4, PING: 6, GOAWAY: 7, WINDOW_UPDATE: 8 } as const;
export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;
export const PADDED = 8;

/** The client connection preface, without SETTINGS (RFC 9113, section 3.4). */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export const HEAD_BYTES = 9;

export type OnFrame = (type: number, flags: number, stream: number, payload: Buffer) => void;

/** Splits received bytes into frames. */
export function frameReader(onFrame: OnFrame): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (at + HEAD_BYTES <= bytes.length) {
      const end = at + HEAD_BYTES + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      const [type, flags] = [bytes[at + 3]!, bytes[at + 4]!];
      onFrame(type, flags, bytes.readUInt32BE(at + 5) & 0x7fffffff, bytes.subarray(at + HEAD_BYTES, end));
      at = end;
    }
    rest = bytes.subarray(at);
  };
}

/** Writes the nine bytes of a frame header. */
export function writeHead(into: Buffer, at: number, length: number, type: number, flags: number, stream: number): void {
  into.writeUIntBE(length, at, 3);
  into[at + 3] = type;
  into[at + 4] = flags;
  into.writeUInt32BE(stream, at + 5);
}

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + payload.length);
  writeHead(bytes, 0, payload.length, type, flags, stream);
  bytes.set(payload, HEAD_BYTES);
  return bytes;
}

/** SETTINGS with these values (RFC 9113, section 6.5.1). */
export function settings(values: Record<number, number>): Buffer {
  const payload = Buffer.alloc(6 * Object.keys(values).length);
  for (const [index, [id, value]] of Object.entries(values).entries()) {
    payload.writeUInt16BE(Number(id), 6 * index);
    payload.writeUInt32BE(value, 6 * index + 2);
  }
  return frame(FRAME.SETTINGS, 0, 0, payload);
}

/** Header fields and names with an entry in HPACK's static table (RFC 7541, appendix A). */
const STATIC: Record<string, number> = { ":method POST": 3, ":scheme http": 6, ":authority": 1, ":path": 4 };

/**
 * Header blocks as gRPC clients send them. The first block of a connection adds fields to HPACK's dynamic table. Later
 * blocks only refer to the tables.
 */
export function headerBlocks(headers: Record<string, string>): { first: Buffer; later: Buffer } {
  const fields = Object.entries(headers);
  const literals = fields.filter(([name, value]) => !(`${name} ${value}` in STATIC));
  const first: Buffer[] = [];
  const later: number[] = [];
  for (const [name, value] of fields) {
    const known = STATIC[`${name} ${value}`];
    if (known !== undefined) {
      first.push(Buffer.from([0x80 | known]));
      later.push(0x80 | known);
      continue;
    }
    const knownName = STATIC[name] ?? 0;
    first.push(Buffer.from([0x40 | knownName]), ...(knownName ? [] : [text(name)]), text(value));
    // The newest entry has the index 62, after the static ones.
    later.push(0x80 | (62 + literals.length - 1 - literals.findIndex(([literal]) => literal === name)));
  }
  return { first: Buffer.concat(first), later: Buffer.from(later) };
}

function text(value: string): Buffer {
  if (value.length > 126) throw new Error(`the generator allows header values of at most 126 bytes: ${value}`);
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
}
