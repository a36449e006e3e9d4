import { setTimeout as sleep } from "node:timers/promises";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { openDoors } from "../clients/doors.ts";
import { ADMIN_TOKEN } from "./server-process.ts";

/** Another caller of a server, who reads a user repeatedly during the test's work. */
export interface Bystander {
  /** Does the work, and checks that each read of the bystander succeeded within ten seconds. */
  isServedDuring<Result>(work: () => Promise<Result>): Promise<Result>;
  close(): void;
}

const MAX_WAIT_MS = 10_000;

/** A bystander that calls over one gRPC connection. */
export async function bystanderOf(url: string): Promise<Bystander> {
  const doors = openDoors(url);
  const door = doors.find(({ name }) => name === "gRPC, UserService")!;
  const { createUser, getUser } = UserService.method;
  const id = "bystander";
  const asOwner = { token: ADMIN_TOKEN };
  await door.call(createUser, { user: { userId: id } }, asOwner);

  return {
    async isServedDuring(work) {
      const working = new AbortController();
      const answers: { code: string; milliseconds: number }[] = [];
      const reading = (async () => {
        do {
          const start = performance.now();
          const { code } = await door.call(getUser, { id }, asOwner);
          answers.push({ code, milliseconds: performance.now() - start });
          await sleep(10);
        } while (!working.signal.aborted);
      })();
      try {
        return await work();
      } finally {
        working.abort();
        await reading;
        expect(answers.filter(({ code, milliseconds }) => code !== "OK" || milliseconds > MAX_WAIT_MS)).toEqual([]);
      }
    },
    close() {
      for (const each of doors) each.close();
    },
  };
}
