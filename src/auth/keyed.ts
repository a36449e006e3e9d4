import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";

/** Bytes of the key of an instance. */
export const KEY_BYTES = 32;

/**
 * What needs a key that is not in the store: hashes of wrong passwords, which could be guessed otherwise, and device
 * tokens, which could be forged (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
 */
export interface Keyed {
  /** Tells keys apart, and nothing else of them. */
  readonly fingerprint: string;
  /** The same for the same password of the same user. */
  mac(userId: string, password: string): string;
  /** A token for a device from which the user has logged in. */
  newDeviceToken(userId: string): string;
  /** Id of the device that the token was made for, if it was made for this user. */
  deviceOf(userId: string, token: string): string | undefined;
}

export function createKeyed(key: Uint8Array): Keyed {
  const derive = (purpose: string) => Buffer.from(hkdfSync("sha256", key, "", `userlock ${purpose}`, KEY_BYTES));
  const passwordKey = derive("wrong passwords");
  const deviceKey = derive("device tokens");
  const mac = (with_: Buffer, ...parts: string[]) =>
    createHmac("sha256", with_).update(JSON.stringify(parts)).digest("base64url");

  return {
    fingerprint: derive("fingerprint").toString("base64url"),
    mac: (userId, password) => mac(passwordKey, userId, password).slice(0, 22),
    newDeviceToken(userId) {
      const device = randomBytes(16).toString("base64url");
      return `${device}.${mac(deviceKey, userId, device)}`;
    },
    deviceOf(userId, token) {
      const [device, given] = token.split(".");
      if (!device || !given) return undefined;
      const expected = Buffer.from(mac(deviceKey, userId, device));
      const actual = Buffer.from(given);
      return expected.length === actual.length && timingSafeEqual(expected, actual) ? device : undefined;
    },
  };
}
