import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";

const KEY_BYTES = 32;
const CIPHER = "aes-256-gcm";
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** A new key of an instance. */
export function newKey(): Buffer {
  return randomBytes(KEY_BYTES);
}

/** The key of an instance from its text in base64; undefined for any other text. */
export function keyOf(text: string): Uint8Array | undefined {
  const key = Buffer.from(text, "base64");
  return key.byteLength === KEY_BYTES ? key : undefined;
}

export type InstanceSecrets = ReturnType<typeof createInstanceSecrets>;

/**
 * What needs a key that is not in the store: without it, anyone with the store could guess wrong passwords and repeated
 * requests, read kept answers, and forge device tokens (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
 * Each purpose has a key of its own, derived from that of the instance.
 */
export function createInstanceSecrets(key: Uint8Array) {
  const derive = (purpose: string) => Buffer.from(hkdfSync("sha256", key, "", `userlock ${purpose}`, KEY_BYTES));
  const passwordKey = derive("wrong passwords");
  const deviceKey = derive("device tokens");
  const callKey = derive("calls");
  const answerKey = derive("answers");
  const mac = (with_: Buffer, ...parts: string[]) =>
    createHmac("sha256", with_).update(JSON.stringify(parts)).digest("base64url");

  return {
    /** Tells keys apart, and nothing else of them. */
    fingerprint: derive("fingerprint").toString("base64url"),
    /** The same for the same password of the same user. */
    mac: (userId: string, password: string): string => mac(passwordKey, userId, password).slice(0, 22),
    /** Id of a new device. */
    newDevice: (): string => randomBytes(16).toString("base64url"),
    /** A token for a device from which the user has logged in; it is good until the end, microseconds. */
    deviceToken(userId: string, device: string, expires: number): string {
      const end = expires.toString(36);
      return `${device}.${end}.${mac(deviceKey, userId, device, end)}`;
    },
    /** Id of the device that the token was made for, if it was made for this user and is good at this time. */
    deviceOf(userId: string, token: string, time: number): string | undefined {
      const [device, end, given] = token.split(".");
      if (!device || !end || !given) return undefined;
      const expected = Buffer.from(mac(deviceKey, userId, device, end));
      const actual = Buffer.from(given);
      const isOurs = expected.length === actual.length && timingSafeEqual(expected, actual);
      return isOurs && time < Number.parseInt(end, 36) ? device : undefined;
    },
    /** Keyed hash of a call or of its request. */
    digest(...parts: readonly (string | Uint8Array)[]): string {
      const hmac = createHmac("sha256", callKey);
      for (const part of parts) {
        const bytes = Buffer.from(part);
        hmac.update(`${bytes.byteLength}:`).update(bytes);
      }
      return hmac.digest("base64url");
    },
    /** Encrypts (AES-256-GCM, NIST SP 800-38D) what is kept for one purpose, the context. */
    seal(plain: Uint8Array, context: string): Uint8Array {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv(CIPHER, answerKey, iv).setAAD(Buffer.from(context));
      return Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
    /** Throws unless it was sealed in this context with this key. */
    unseal(sealed: Uint8Array, context: string): Uint8Array {
      const end = sealed.byteLength - TAG_BYTES;
      const decipher = createDecipheriv(CIPHER, answerKey, sealed.subarray(0, IV_BYTES))
        .setAAD(Buffer.from(context))
        .setAuthTag(sealed.subarray(end));
      return Buffer.concat([decipher.update(sealed.subarray(IV_BYTES, end)), decipher.final()]);
    },
  };
}
