import { availableParallelism } from "node:os";
import { hash as argon2Hash, verify as argon2Verify } from "@node-rs/argon2";
import { verify as bcryptVerify } from "@node-rs/bcrypt";
import { DomainError } from "../domain/errors.ts";

/** Cost of argon2id (RFC 9106). */
export interface HashSettings {
  memoryKib: number;
  passes: number;
  lanes: number;
}

/** Hashes that may wait; one more is refused at once. */
const MAX_WAITING = 400;

const NUMBER = "([1-9]\\d{0,6})";
const ARGON2 = new RegExp(`^\\$argon2id?\\$v=19\\$m=${NUMBER},t=${NUMBER},p=${NUMBER}\\$([^$]{11,})\\$([^$]{16,})$`);
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;

/** What an imported hash may cost, so that nobody brings one that takes the server's memory or minutes of its time. */
const MOST = { memoryKib: 256 * 1024, passes: 20, lanes: 16, bcryptCost: 15 };

/** Whether a hash from elsewhere can be checked: argon2id or argon2i in PHC form, or bcrypt, of a bearable cost. */
export function isSupportedHash(hash: string): boolean {
  const bcrypt = BCRYPT.exec(hash);
  if (bcrypt) return Number(bcrypt[1]) >= 4 && Number(bcrypt[1]) <= MOST.bcryptCost;
  const [, memory, passes, lanes, salt = "", tag = ""] = ARGON2.exec(hash) ?? [];
  // Argon2 needs 8 KiB for each lane (RFC 9106, section 3.1).
  const isBearable = Number(memory) <= MOST.memoryKib && Number(passes) <= MOST.passes && Number(lanes) <= MOST.lanes;
  return isBearable && Number(memory) >= 8 * Number(lanes) && isBase64(salt) && isBase64(tag);
}

/** Base64 as PHC has it: without padding, and with nothing in the bits that are left over. */
function isBase64(text: string): boolean {
  return Buffer.from(text, "base64").toString("base64").replace(/=+$/, "") === text;
}

/**
 * Hashes and checks passwords, as many at once as there are cores but for one, which is left to all other calls. Its
 * methods reject with TOO_MANY_REQUESTS, at once, when too many wait.
 */
export function createPasswordHasher({ memoryKib, passes, lanes }: HashSettings) {
  // Without an algorithm it is argon2id.
  const cost = { memoryCost: memoryKib, timeCost: passes, parallelism: lanes };
  const prefix = `$argon2id$v=19$m=${memoryKib},t=${passes},p=${lanes}$`;
  const limited = createLimit(Math.max(availableParallelism() - 1, 1), MAX_WAITING);

  return {
    hash: (password: string): Promise<string> => limited(() => argon2Hash(password, cost)),
    verify: (password: string, hash: string) =>
      limited(async () => ({
        isRight: await compare(password, hash),
        isOutdated: !hash.startsWith(prefix) && !isCutShort(password, hash),
      })),
    pretend: async (password: string, like?: string): Promise<void> => {
      await limited<unknown>(() => (like === undefined ? argon2Hash(password, cost) : compare(password, like)));
    },
  };
}

function compare(password: string, hash: string): Promise<boolean> {
  return BCRYPT.test(hash) ? bcryptVerify(password, hash) : argon2Verify(hash, password);
}

/** bcrypt looks at 72 bytes: beyond them a slip goes unseen, and must not become the password. */
function isCutShort(password: string, hash: string): boolean {
  return BCRYPT.test(hash) && Buffer.byteLength(password) > 72;
}

function createLimit(concurrency: number, maxWaiting: number) {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (running >= concurrency) {
      if (waiting.length >= maxWaiting) {
        throw new DomainError("TOO_MANY_REQUESTS", "Too many passwords are being checked: try again later.");
      }
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else running++;
    try {
      return await work();
    } finally {
      // The place goes to the next one, or is free.
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
