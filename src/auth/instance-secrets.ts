import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";

const KEY_BYTES = 32;
const CIPHER = "aes-256-gcm";
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** Returns a new key of an instance. */
export function newKey(): Buffer {
  return randomBytes(KEY_BYTES);
}

/** Decodes the key of an instance from base64. Returns undefined for any other text. */
export function keyOf(text: string): Uint8Array | undefined {
  const key = Buffer.from(text, "base64");
  return key.byteLength === KEY_BYTES ? key : undefined;
}

export type InstanceSecrets = ReturnType<typeof createInstanceSecrets>;

/**
 * Functions that need the instance's key, which is not in the store. Otherwise anyone with the store could guess
 * passwords and requests, read stored answers, and forge device tokens. Each purpose has its own key, derived from the
 * instance's. See OWASP, "Slow Down Online Guessing Attacks with Device Cookies".
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
    /** Identifies the key without revealing it. */
    fingerprint: derive("fingerprint").toString("base64url"),
    /** A keyed hash: equal for equal passwords of the same user. */
    mac: (userId: string, password: string): string => mac(passwordKey, userId, password).slice(0, 22),
    /** The id of a new device. */
    newDevice: (): string => randomBytes(16).toString("base64url"),
    /** A token for a device of the user, good until `expires`, in microseconds since the Unix epoch. */
    deviceToken(userId: string, device: string, expires: number): string {
      const end = expires.toString(36);
      return `${device}.${end}.${mac(deviceKey, userId, device, end)}`;
    },
    /** The id of the token's device, if the token was made for this user and has not expired at `time`. */
    deviceOf(userId: string, token: string, time: number): string | undefined {
      const [device, end, given] = token.split(".");
      if (!device || !end || !given) return undefined;
      const expected = Buffer.from(mac(deviceKey, userId, device, end));
      const actual = Buffer.from(given);
      const isOurs = expected.length === actual.length && timingSafeEqual(expected, actual);
      return isOurs && time < Number.parseInt(end, 36) ? device : undefined;
    },
    /** A keyed hash of a call or its request. */
    digest(...parts: readonly (string | Uint8Array)[]): string {
      const hmac = createHmac("sha256", callKey);
      for (const part of parts) {
        const bytes = Buffer.from(part);
        hmac.update(`${bytes.byteLength}:`).update(bytes);
      }
      return hmac.digest("base64url");
    },
    /** Encrypts for a context (AES-256-GCM, NIST SP 800-38D). */
    seal(plain: Uint8Array, context: string): Uint8Array {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv(CIPHER, answerKey, iv).setAAD(Buffer.from(context));
      return Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
    /** Decrypts. Throws unless `seal` encrypted it for this context with this key. */
    unseal(sealed: Uint8Array, context: string): Uint8Array {
      const end = sealed.byteLength - TAG_BYTES;
      const decipher = createDecipheriv(CIPHER, answerKey, sealed.subarray(0, IV_BYTES))
        .setAAD(Buffer.from(context))
        .setAuthTag(sealed.subarray(end));
      return Buffer.concat([decipher.update(sealed.subarray(IV_BYTES, end)), decipher.final()]);
    },
  };
}
