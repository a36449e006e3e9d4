import { IDENTIFIER_RULE, isIdentifier } from "../domain/identifier.ts";
import { duration, parse, UsageError } from "./arguments.ts";
import { EX_OK } from "./client.ts";

export const ADMIN_USAGE = `  userlock admin unlock ID  unlock a user
  userlock admin token [--subject S] [--expires 1h]
                            make a token of an INSTANCE_OWNER and print its secret, this once
  userlock admin revoke SUBJECT
                            revoke all tokens of a subject
  userlock admin list --locked
                            list the locked users
  userlock admin create-user ID
                            make a break-glass account, which no grant reaches
  userlock admin reset-key  let the next server bring another key, after the key was lost
`;

/**
 * What `userlock admin` does with the store. Times are microseconds. All reject with a DomainError. No grant reaches a
 * break-glass account or its tokens: they belong to the system.
 */
interface AdminOperations {
  unlock(userId: string): Promise<void>;
  /** Makes a token of an INSTANCE_OWNER. Resolves with its secret. */
  createToken(subject: string, lifetime: number | undefined): Promise<string>;
  /** Revokes all tokens of the subject. Resolves with their number. */
  revokeTokens(subject: string): Promise<number>;
  /** Creates a break-glass account. */
  createUser(userId: string): Promise<void>;
  /** Forgets which key the servers have. */
  resetKey(): Promise<void>;
  locked(): AsyncIterable<{
    id: string;
    lock: { cause: string; reason: string; by: string; since: number; until?: number };
  }>;
}

/** What `reset-key` prints. */
const KEY_RESET = `The key is forgotten. Stop all servers, then start them with one new key.
Device tokens of the old key are void, so known devices count as strangers until their next login.
Answers kept under an Idempotency-Key are lost: a call repeated with its key is made again.
Wrong passwords given before count again. Tokens, sessions and passwords stay as they are.`;

/**
 * `userlock admin …`: works on the store itself, with the server down or up. On stdout: the secret alone (token), a
 * line for each user (list), or nothing. Resolves with the exit code. Rejects with UsageError or what the operation
 * rejects with.
 */
export async function runAdmin(
  args: string[],
  withStore: (work: (operations: AdminOperations) => Promise<void>) => Promise<void>,
  print: (line: string) => void,
): Promise<number> {
  const [action, ...rest] = args;
  switch (action) {
    case "unlock":
    case "create-user": {
      const id = onlyId(rest);
      await withStore(({ unlock, createUser }) => (action === "unlock" ? unlock(id) : createUser(id)));
      break;
    }
    case "token": {
      const { subject = "admin", expires } = parse(rest, {
        subject: { type: "string" },
        expires: { type: "string" },
      }).values;
      if (!isIdentifier(subject)) throw new UsageError(`--subject must be ${IDENTIFIER_RULE}`);
      const lifetime = expires === undefined ? undefined : duration(expires);
      await withStore(async (operations) => print(await operations.createToken(subject, lifetime)));
      break;
    }
    case "revoke": {
      const subject = onlyId(rest);
      await withStore(async (operations) => print(`${await operations.revokeTokens(subject)} revoked`));
      break;
    }
    case "list": {
      if (!parse(rest, { locked: { type: "boolean" } }).values.locked) throw new UsageError("list needs --locked");
      await withStore(async (operations) => {
        for await (const { id, lock } of operations.locked()) {
          const until = lock.until === undefined ? "unlocked" : timeOf(lock.until);
          print(
            [id, lock.cause, lock.reason, `by=${lock.by}`, `since=${timeOf(lock.since)}`, `until=${until}`].join("\t"),
          );
        }
      });
      break;
    }
    case "reset-key": {
      if (parse(rest, {}, true).positionals.length > 0) throw new UsageError("reset-key takes no arguments");
      await withStore((operations) => operations.resetKey());
      print(KEY_RESET);
      break;
    }
    default:
      throw new UsageError(
        `admin must be followed by unlock, token, revoke, list, create-user or reset-key:\n${ADMIN_USAGE}`,
      );
  }
  return EX_OK;
}

function onlyId(args: string[]): string {
  const [id, ...more] = parse(args, {}, true).positionals;
  if (id === undefined || more.length > 0 || !isIdentifier(id)) throw new UsageError("it takes the id of one user");
  return id;
}

const timeOf = (micros: number) => new Date(micros / 1_000).toISOString();
