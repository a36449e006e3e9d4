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
`;

/** What the store can be asked for by who has it in his hands; times are microseconds. */
export interface AdminOperations {
  unlock(userId: string): Promise<void>;
  createToken(subject: string, lifetime: number | undefined): Promise<string>;
  revokeTokens(subject: string): Promise<number>;
  createUser(userId: string): Promise<void>;
  locked(): AsyncIterable<{
    id: string;
    lock: { cause: string; reason: string; by: string; since: number; until?: number };
  }>;
}

const ID = /^(?!\.{1,2}$)[A-Za-z0-9._~@:-]{1,200}$/;

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
    case "unlock": {
      const id = onlyId(rest);
      await withStore((operations) => operations.unlock(id));
      return EX_OK;
    }
    case "create-user": {
      const id = onlyId(rest);
      await withStore((operations) => operations.createUser(id));
      return EX_OK;
    }
    case "token": {
      const { subject = "admin", expires } = parse(rest, {
        subject: { type: "string" },
        expires: { type: "string" },
      }).values;
      if (!ID.test(subject)) throw new UsageError("--subject must be 1 to 200 characters of A-Z a-z 0-9 . _ ~ @ : -");
      const lifetime = expires === undefined ? undefined : duration(expires) * 1_000;
      await withStore(async (operations) => print(await operations.createToken(subject, lifetime)));
      return EX_OK;
    }
    case "revoke": {
      const subject = onlyId(rest);
      await withStore(async (operations) => print(`${await operations.revokeTokens(subject)} revoked`));
      return EX_OK;
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
      return EX_OK;
    }
    default:
      throw new UsageError(`admin must be followed by unlock, token, revoke, list or create-user:\n${ADMIN_USAGE}`);
  }
}

function onlyId(args: string[]): string {
  const [id, ...more] = parse(args, {}, true).positionals;
  if (id === undefined || more.length > 0 || !ID.test(id)) throw new UsageError("it takes the id of one user");
  return id;
}

const timeOf = (micros: number) => new Date(micros / 1_000).toISOString();
