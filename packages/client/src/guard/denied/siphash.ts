/** Texts of more characters have no hash. Ids of users have at most 200, subjects of JWTs at most 255. */
const MAX_LENGTH = 255;

/**
 * SipHash-2-4 (Aumasson and Bernstein, 2012) of ASCII texts. Without the key nobody can find two texts with one hash.
 */
export interface Hasher {
  /** Hashes the text. Returns false for a text that is longer than 255 characters or not ASCII. */
  hash(text: string): boolean;
  /** The upper and lower half of the last hash, as unsigned integers. */
  high: number;
  low: number;
}

/** Creates a hasher with a key of 16 bytes. */
export function createHasher(key: Uint8Array): Hasher {
  const bytes = new Uint8Array(MAX_LENGTH + 1);
  const words = new DataView(bytes.buffer);
  const keys = new DataView(key.buffer, key.byteOffset, 16);
  // A number of 64 bits is two of 32: k0, k1 and v0 to v3 of the paper, each with its high and low half.
  const [k0l, k0h, k1l, k1h] = [0, 4, 8, 12].map((at) => keys.getInt32(at, true)) as [number, number, number, number];

  const hasher: Hasher = {
    high: 0,
    low: 0,
    hash(text) {
      const { length } = text;
      if (length > MAX_LENGTH) return false;
      for (let at = 0; at < length; at++) {
        const code = text.charCodeAt(at);
        if (code > 127) return false;
        bytes[at] = code;
      }
      // The last word ends with the length.
      const end = length & ~7;
      bytes.fill(0, length, end + 7);
      bytes[end + 7] = length;

      let [v0h, v0l] = [k0h ^ 0x736f6d65, k0l ^ 0x70736575];
      let [v1h, v1l] = [k1h ^ 0x646f7261, k1l ^ 0x6e646f6d];
      let [v2h, v2l] = [k0h ^ 0x6c796765, k0l ^ 0x6e657261];
      let [v3h, v3l] = [k1h ^ 0x74656462, k1l ^ 0x79746573];
      for (let at = 0; at <= end + 8; at += 8) {
        const isFinal = at > end;
        const low = isFinal ? 0 : words.getInt32(at, true);
        const high = isFinal ? 0 : words.getInt32(at + 4, true);
        if (isFinal) v2l ^= 0xff;
        v3h ^= high;
        v3l ^= low;
        for (let round = isFinal ? 4 : 2; round > 0; round--) {
          // v0 += v1, v1 <<<= 13, v1 ^= v0, v0 <<<= 32
          let sum = (v0l >>> 0) + (v1l >>> 0);
          v0h = (v0h + v1h + (sum > 0xffffffff ? 1 : 0)) | 0;
          v0l = sum | 0;
          let turned = (v1h << 13) | (v1l >>> 19);
          v1l = ((v1l << 13) | (v1h >>> 19)) ^ v0l;
          v1h = turned ^ v0h;
          turned = v0h;
          v0h = v0l;
          v0l = turned;
          // v2 += v3, v3 <<<= 16, v3 ^= v2
          sum = (v2l >>> 0) + (v3l >>> 0);
          v2h = (v2h + v3h + (sum > 0xffffffff ? 1 : 0)) | 0;
          v2l = sum | 0;
          turned = (v3h << 16) | (v3l >>> 16);
          v3l = ((v3l << 16) | (v3h >>> 16)) ^ v2l;
          v3h = turned ^ v2h;
          // v0 += v3, v3 <<<= 21, v3 ^= v0
          sum = (v0l >>> 0) + (v3l >>> 0);
          v0h = (v0h + v3h + (sum > 0xffffffff ? 1 : 0)) | 0;
          v0l = sum | 0;
          turned = (v3h << 21) | (v3l >>> 11);
          v3l = ((v3l << 21) | (v3h >>> 11)) ^ v0l;
          v3h = turned ^ v0h;
          // v2 += v1, v1 <<<= 17, v1 ^= v2, v2 <<<= 32
          sum = (v2l >>> 0) + (v1l >>> 0);
          v2h = (v2h + v1h + (sum > 0xffffffff ? 1 : 0)) | 0;
          v2l = sum | 0;
          turned = (v1h << 17) | (v1l >>> 15);
          v1l = ((v1l << 17) | (v1h >>> 15)) ^ v2l;
          v1h = turned ^ v2h;
          turned = v2h;
          v2h = v2l;
          v2l = turned;
        }
        v0h ^= high;
        v0l ^= low;
      }
      hasher.high = (v0h ^ v1h ^ v2h ^ v3h) >>> 0;
      hasher.low = (v0l ^ v1l ^ v2l ^ v3l) >>> 0;
      return true;
    },
  };
  return hasher;
}
