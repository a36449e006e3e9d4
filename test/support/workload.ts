import { setTimeout as sleep } from "node:timers/promises";
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import type { Door } from "./clients/doors.ts";
import { ADMIN_TOKEN } from "./servers/server-process.ts";

const { createUser, lockUser, unlockUser } = UserService.method;
const asOwner = { token: ADMIN_TOKEN };

/** A worker's record of its user: the answered events, and the event of an unanswered call. */
export interface Account {
  id: string;
  answered: string[];
  pending: string | undefined;
}

/** Creates a user with a name, then locks and unlocks the user until the server is shut down. */
async function work(account: Account, door: Door, isShut: () => boolean): Promise<void> {
  const { id } = account;
  const authenticators = { usernames: [{ username: `name of ${id}` }] };
  const calls = {
    "user.created": () => door.call(createUser, { user: { userId: id, authenticators } }, asOwner),
    "user.locked": () => door.call(lockUser, { id }, asOwner),
    "user.unlocked": () => door.call(unlockUser, { id }, asOwner),
  };
  let next: keyof typeof calls = "user.created";
  for (;;) {
    account.pending = next;
    const answer = await calls[next]().catch((error: Error) => ({ code: error.message, detailTypes: [] }));
    // An error without details is not from the server. Clients use different codes for a broken connection.
    if (isShut() && answer.code !== "OK" && answer.detailTypes.length === 0) return;
    expect(answer).toMatchObject({ code: "OK" });
    account.answered.push(next);
    account.pending = undefined;
    next = next === "user.locked" ? "user.unlocked" : "user.locked";
  }
}

/** Loads a server with workers, and runs `shut` after `afterAnswers` answers. */
export async function shutUnderLoad(
  doors: readonly Door[],
  { name, workers, afterAnswers }: { name: string; workers: number; afterAnswers: number },
  shut: () => Promise<unknown>,
): Promise<Account[]> {
  const accounts = Array.from(
    { length: workers },
    (_, worker): Account => ({ id: `${name}-${worker}`, answered: [], pending: undefined }),
  );
  let isShut = false;
  const working = Promise.all(
    accounts.map((account, worker) => work(account, doors[worker % doors.length] as Door, () => isShut)),
  );
  const answers = () => accounts.reduce((sum, { answered }) => sum + answered.length, 0);
  while (answers() < afterAnswers) await Promise.race([sleep(1), working]);
  isShut = true;
  await shut();
  await working;
  return accounts;
}
