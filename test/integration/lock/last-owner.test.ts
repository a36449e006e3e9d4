// Proves that the last owner of an instance cannot be locked, deactivated or deleted.
import { setTimeout as sleep } from "node:timers/promises";
import type { DescMethodUnary } from "@bufbuild/protobuf";
import { AccessService } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { addUser, asOwner, outcomeOf } from "../../support/logins.ts";
import { ADMIN_TOKEN, QUICK, startServer } from "../../support/servers/server-process.ts";

const { revokeToken } = AccessService.method;
const { getUser, lockUser, unlockUser, deactivateUser, activateUser, deleteUser } = UserService.method;

/** Runs work with a new server. */
async function withServer(work: (door: Door, url: string) => Promise<void>): Promise<void> {
  const server = await startServer({}, QUICK);
  const doors = openDoors(server.url);
  try {
    await work(doors.find((each) => each.name === "Connect proto, UserService") as Door, server.url);
  } finally {
    for (const door of doors) door.close();
    await server.stop();
  }
}

describe("the last user with INSTANCE_OWNER", () => {
  test("cannot be locked, deactivated or deleted until there is another one", async () => {
    await withServer(async (door, url) => {
      const make = tokenMaker(url, ADMIN_TOKEN);
      for (const id of ["boss", "deputy", "clerk"]) await addUser(door, { id });
      await make.create("boss", ["INSTANCE_OWNER"]);
      await make.create("clerk", ["INSTANCE_VIEWER"]);
      const takeAway = [lockUser, deactivateUser, deleteUser];
      const LAST = "FAILED_PRECONDITION LAST_OWNER";
      const call = async (method: DescMethodUnary, id: string) =>
        outcomeOf(await door.call(method, { id } as never, asOwner));
      for (const method of takeAway) expect(await call(method, "boss")).toBe(LAST);
      expect(await call(lockUser, "clerk")).toBe("OK");

      // An expired or revoked token does not make an owner.
      await make.revoke((await make.create("deputy", ["INSTANCE_OWNER"])).id);
      await make.createExpiring("deputy", 300);
      await sleep(310);
      for (const method of takeAway) expect(await call(method, "boss")).toBe(LAST);

      await make.create("deputy", ["INSTANCE_OWNER"]);
      expect(await call(lockUser, "boss")).toBe("OK");
      for (const method of takeAway) expect(await call(method, "deputy")).toBe(LAST);
      expect(await call(unlockUser, "boss")).toBe("OK");
      expect(await call(deactivateUser, "deputy")).toBe("OK");
      for (const method of takeAway) expect(await call(method, "boss")).toBe(LAST);
      expect(await call(activateUser, "deputy")).toBe("OK");
      expect(await call(deleteUser, "boss")).toBe("OK");
      for (const method of takeAway) expect(await call(method, "deputy")).toBe(LAST);
      expect((await door.call(getUser, { id: "deputy" }, asOwner)).response?.user?.lock).toBeUndefined();
    });
  });

  test("is kept when 20 callers concurrently lock both of two owners", async () => {
    await withServer(async (door, url) => {
      const make = tokenMaker(url, ADMIN_TOKEN);
      let before: { id: string }[] = [];
      for (let round = 0; round < 10; round++) {
        const pair = [`one-${round}`, `two-${round}`];
        const made = await Promise.all(
          pair.map(async (id) => {
            await addUser(door, { id });
            return make.create(id, ["INSTANCE_OWNER"]);
          }),
        );
        await Promise.all(before.map(({ id }) => make.revoke(id)));
        before = made;
        const outcomes = await Promise.all(
          Array.from({ length: 20 }, async (_, index) =>
            outcomeOf(await door.call(lockUser, { id: pair[index % 2] as string }, asOwner)),
          ),
        );
        expect(outcomes.filter((outcome) => outcome === "OK")).toHaveLength(1);
      }
    });
  });

  test("keeps the last token with this role", async () => {
    await withServer(async (door, url) => {
      const make = tokenMaker(url, ADMIN_TOKEN);
      for (const id of ["boss", "deputy"]) await addUser(door, { id });
      const revoke = async (tokenId: string) => outcomeOf(await door.call(revokeToken, { tokenId }, asOwner));
      // The first token belongs to no user, and is the only one.
      expect(await revoke("admin")).toBe("FAILED_PRECONDITION LAST_OWNER");
      const first = await make.create("boss", ["INSTANCE_OWNER"]);
      expect(await revoke(first.id)).toBe("FAILED_PRECONDITION LAST_OWNER");
      const second = await make.create("boss", ["INSTANCE_OWNER"]);
      expect(await revoke(first.id)).toBe("OK");
      expect(await revoke(second.id)).toBe("FAILED_PRECONDITION LAST_OWNER");
      await make.create("deputy", ["INSTANCE_OWNER"]);
      expect(await revoke(second.id)).toBe("OK");
      expect(await revoke("admin")).toBe("OK");
    });
  });
});
