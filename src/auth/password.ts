import { hash as argon2Hash, verify as argon2Verify } from "@node-rs/argon2";
import { verify as bcryptVerify } from "@node-rs/bcrypt";

/** The cost of argon2id (RFC 9106). */
export interface HashSettings {
  memoryKib: number;
  passes: number;
  lanes: number;
}

const NUMBER = "([1-9]\\d{0,6})";
const ARGON2 = new RegExp(`^\\$argon2id?\\$v=19\\$m=${NUMBER},t=${NUMBER},p=${NUMBER}\\$([^$]{11,})\\$([^$]{16,})$`);
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;

/** Limits of an imported hash, so that verifying it uses bounded memory and time. */
const MOST = { memoryKib: 256 * 1024, passes: 20, lanes: 16, bcryptCost: 15 };

/** A hash is costly if it takes this many times as long as one with the server's settings. */
const COSTLY = 8;
/** The effort of bcrypt with a cost of 0, in passes of argon2 over a KiB. */
const BCRYPT_EFFORT = 100;

/** Whether an imported hash can be verified: argon2id or argon2i in PHC form, or bcrypt, of limited cost. */
export function isSupportedHash(hash: string): boolean {
  const bcrypt = BCRYPT.exec(hash);
  if (bcrypt) return Number(bcrypt[1]) >= 4 && Number(bcrypt[1]) <= MOST.bcryptCost;
  const [, memory, passes, lanes, salt = "", tag = ""] = ARGON2.exec(hash) ?? [];
  // Argon2 needs 8 KiB for each lane (RFC 9106, section 3.1).
  const isLimited = Number(memory) <= MOST.memoryKib && Number(passes) <= MOST.passes && Number(lanes) <= MOST.lanes;
  return isLimited && Number(memory) >= 8 * Number(lanes) && isBase64(salt) && isBase64(tag);
}

/** Whether the text is base64 as in PHC: without padding, and with zeros in the unused bits. */
function isBase64(text: string): boolean {
  return Buffer.from(text, "base64").toString("base64").replace(/=+$/, "") === text;
}

/**
 * Hashes and verifies passwords in Node's thread pool. Passwords are hashed in NFC (RFC 8265, section 4.2), so that a
 * password is the same from every keyboard. A hash of another form is right too, but outdated.
 */
export function createPasswordHasher({ memoryKib, passes, lanes }: HashSettings) {
  // The default algorithm is argon2id.
  const cost = { memoryCost: memoryKib, timeCost: passes, parallelism: lanes };
  const prefix = `$argon2id$v=19$m=${memoryKib},t=${passes},p=${lanes}$`;

  return {
    hash: (password: string): Promise<string> => argon2Hash(password.normalize("NFC"), cost),
    async verify(password: string, hash: string) {
      const rightOnes: string[] = [];
      // Compare all forms, because the time must not reveal which one is right.
      for (const form of formsOf(password)) if (await compare(form, hash)) rightOnes.push(form);
      const [right] = rightOnes;
      if (right === undefined) return { isRight: false, isOutdated: false };
      const isAsNew = hash.startsWith(prefix) && right === right.normalize("NFC");
      return { isRight: true, isOutdated: !isAsNew && !isCutShort(right, hash) };
    },
    async pretend(password: string, like?: string): Promise<void> {
      for (const form of formsOf(password)) {
        await (like === undefined ? argon2Hash(form, cost) : compare(form, like));
      }
    },
    isCostly: (hash: string): boolean => effortOf(hash) > COSTLY * memoryKib * passes,
  };
}

/** The forms that may have been hashed, NFC first. Their number depends on the input only, not on a user. */
function formsOf(password: string): Set<string> {
  return new Set([password.normalize("NFC"), password]);
}

/** The effort to verify a hash, in passes of argon2 over a KiB. */
function effortOf(hash: string): number {
  const [, bcryptCost] = BCRYPT.exec(hash) ?? [];
  if (bcryptCost !== undefined) return 2 ** Number(bcryptCost) * BCRYPT_EFFORT;
  const [, memory, passes] = ARGON2.exec(hash) ?? [];
  return Number(memory) * Number(passes);
}

function compare(password: string, hash: string): Promise<boolean> {
  return BCRYPT.test(hash) ? bcryptVerify(password, hash) : argon2Verify(hash, password);
}

/** bcrypt reads only 72 bytes. A longer password may differ from the original, so it must not replace the hash. */
function isCutShort(password: string, hash: string): boolean {
  return BCRYPT.test(hash) && Buffer.byteLength(password) >= 72;
}
