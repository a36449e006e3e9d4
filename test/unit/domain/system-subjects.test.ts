import { isSystemSubject, operatorOn, USERLOCK } from "../../../src/domain/system-subjects.ts";
import { accessToken } from "../../../src/domain/token.ts";
import { user } from "../../../src/domain/user.ts";
import { timeAt } from "../../support/user-story.ts";

const OWN = [USERLOCK, operatorOn("host"), operatorOn("db-1.example.com"), "admin@", "Userlock", "ADMIN@host"];
const SEEMING = [" userlock", "userlock ", " admin@host"];
const OTHERS = ["admin", "userlocks", "userlock@host", "sysadmin@host", "ann@admin.example.com", "u-1", ""];

const occasion = { time: timeAt(0), actor: { subject: "operator" } };
const owner = { type: "instance", id: "default" } as const;
const INVALID = expect.objectContaining({ reason: "INVALID_REQUEST" });

describe("a subject that marks an actor of the system's own", () => {
  test.each([...OWN, ...SEEMING])("is %j", (subject) => {
    expect(isSystemSubject(subject)).toBe(true);
  });

  test.each(OTHERS)("is not %j", (subject) => {
    expect(isSystemSubject(subject)).toBe(false);
  });

  test.each(OWN)("is that of no token: %s", (subject) => {
    const token = { id: "t1", owner, subject, grants: [], hash: "hash" };
    expect(() => accessToken.decide(undefined, { type: "create", token }, occasion)).toThrow(INVALID);
  });

  test.each(OWN)("is that of no user: %s", (id) => {
    const create = { type: "create", id, owner, profile: {}, usernames: [] } as const;
    expect(() => user.decide(undefined, { ...create, usernames: [] }, occasion)).toThrow(INVALID);
  });
});
