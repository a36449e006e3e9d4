// Proves that a lock with an end is over at its end.
import { invalidField } from "../../../src/domain/errors.ts";
import { type UserCommand, user } from "../../../src/domain/user.ts";
import { lockOf } from "../../../src/domain/user-state.ts";
import {
  command,
  endingInWords,
  lock,
  right,
  type Step,
  setPassword,
  tell,
  timeAt,
  unlock,
  wrong,
  wrongs,
} from "../../support/user-story.ts";

const DAY = 24 * 3_600;
const IN = "login_succeeded";
const UNTIL_60 = lock(0, { until: timeAt(60) });
const EXPIRE: UserCommand = { type: "expire_lock" };

describe("a manual lock", () => {
  const ENDS: [name: string, step: Step, expected: string][] = [
    ["without an end", lock(5), "locked by hand without end"],
    ["until a time", lock(5, { until: timeAt(60) }), "locked by hand until 60"],
    ["until the next microsecond", lock(5, { until: timeAt(5) + 1 }), "locked by hand until 5.000001"],
    ["for a duration", lock(5, { duration: 60_000_000 }), "locked by hand until 65"],
    ["for a microsecond", lock(5, { duration: 1 }), "locked by hand until 5.000001"],
    ["for ten years", lock(0, { duration: 3_652 * DAY * 1_000_000 }), `locked by hand until ${3_652 * DAY}`],
    ["until ten years from now", lock(0, { until: timeAt(3_652 * DAY) }), `locked by hand until ${3_652 * DAY}`],
  ];

  test.each(ENDS)("can be %s", (_, step, expected) => {
    expect(endingInWords([step])).toEqual([expected]);
  });

  const WRONG_ENDS: [name: string, step: Step, field: string][] = [
    ["until now", lock(5, { until: timeAt(5) }), "until"],
    ["until a past time", lock(5, { until: timeAt(0) }), "until"],
    ["for a duration of zero", lock(5, { duration: 0 }), "duration"],
    ["for a negative duration", lock(5, { duration: -1 }), "duration"],
    ["for eleven years", lock(0, { duration: 11 * 365 * DAY * 1_000_000 }), "duration"],
    ["until eleven years from now", lock(0, { until: timeAt(11 * 365 * DAY) }), "until"],
  ];

  test.each(WRONG_ENDS)("cannot be %s", (_, step, field) => {
    const { reason } = invalidField(field, "");
    const violations = [expect.objectContaining({ field })];
    expect(() => tell([step])).toThrow(expect.objectContaining({ reason, violations }));
  });

  test("shows its author, reason, note, start and end", () => {
    const step = command(5, { type: "lock", reason: "fraud", note: "stolen phone", duration: 10_000_000 }, "operator");
    const made = { cause: "manual", reason: "fraud", note: "stolen phone", by: "operator" };
    expect(tell([step]).state.lock).toEqual({ ...made, since: timeAt(5), until: timeAt(15) });
  });

  test("replaces an automatic lock, and never ends earlier than it", () => {
    expect(endingInWords([...wrongs(5, 0), lock(10)])).toEqual(["locked by hand without end"]);
    expect(endingInWords([...wrongs(5, 0), lock(10, { until: timeAt(20) })])).toEqual(["locked by hand until 64"]);
    expect(endingInWords([...wrongs(5, 0), lock(10, { until: timeAt(90) })])).toEqual(["locked by hand until 90"]);
    const { lock: standing } = tell([...wrongs(5, 0), lock(10)]).state;
    expect(standing).toEqual({ cause: "manual", reason: "fraud", note: "", by: "operator", since: timeAt(10) });
    expect(endingInWords([...wrongs(5, 0), lock(10), right(64)])).toEqual([]);
  });

  test.each([
    ["another manual lock", [lock(0)]],
    ["a manual lock with an end", [UNTIL_60]],
    ["a manual lock that replaced an automatic one", [...wrongs(5, 0), lock(5)]],
  ])("does not replace %s", (_, given) => {
    const refusal = expect.objectContaining({ reason: "USER_ALREADY_LOCKED" });
    expect(() => tell([...given, lock(59)])).toThrow(refusal);
    expect(() => tell([...given, lock(59, { until: timeAt(100) })])).toThrow(refusal);
  });

  test("cannot be set by its own user, whatever lock exists", () => {
    const lockThemselves = (at: number) => command(at, { type: "lock", reason: "", note: "", duration: 1 }, "ann");
    for (const given of [[], [lock(0)], wrongs(5, 0), [UNTIL_60]]) {
      expect(() => tell([...given, lockThemselves(100)])).toThrow(expect.objectContaining({ reason: "SELF_LOCK" }));
    }
  });

  test("without an end changes by no wrong password, login or expiry", () => {
    const given = [lock(0), ...wrongs(9, 1), command(20, EXPIRE), command(1e9, EXPIRE), right(1e9)];
    expect(tell(given).state.lock).toEqual(tell([lock(0)]).state.lock);
  });
});

describe("the end of a lock", () => {
  test("is exact to the microsecond", () => {
    const { state } = tell([UNTIL_60]);
    expect(lockOf(state, timeAt(60) - 1)).toEqual(state.lock);
    expect(lockOf(state, timeAt(60))).toBeUndefined();
    expect(lockOf(state, timeAt(1e6))).toBeUndefined();
    expect(endingInWords([UNTIL_60, right(59.999_999)])).toEqual([]);
    expect(endingInWords([UNTIL_60, right(60)])).toEqual(["expired", IN]);
  });

  test("is logged once", () => {
    expect(endingInWords([UNTIL_60, command(59.999_999, EXPIRE)])).toEqual([]);
    expect(endingInWords([UNTIL_60, command(60, EXPIRE)])).toEqual(["expired"]);
    expect(endingInWords([UNTIL_60, command(60, EXPIRE), command(61, EXPIRE)])).toEqual([]);
    expect(endingInWords([UNTIL_60, right(60), command(61, EXPIRE)])).toEqual([]);
  });

  test.each([
    ["is not locked", []],
    ["was unlocked before the end", [UNTIL_60, unlock(30)]],
    ["is locked without end", [lock(0)]],
  ])("is not logged for a user who %s", (_, given) => {
    expect(endingInWords([...given, command(1e6, EXPIRE)])).toEqual([]);
  });

  const name = { id: "1", name: "ann", organizationSpecific: false };
  const BEFORE_WHATEVER_COMES_NEXT: [when: Step, expected: string[]][] = [
    [lock(60), ["locked by hand without end"]],
    [lock(60, { duration: 1_000_000 }), ["locked by hand until 61"]],
    [right(60), [IN]],
    [wrong(60), ["login_failed"]],
    [setPassword(60), ["password_changed"]],
    [command(60, { type: "deactivate" }), ["deactivated"]],
    [command(60, { type: "delete" }), ["deleted"]],
    [command(60, { type: "patch", profile: { schemaType: "robot" } }), ["patched"]],
    [command(60, { type: "patch", profile: {} }), []],
    [command(60, { type: "add_username", username: name }), ["username_added"]],
    [command(60, { type: "end_sessions" }), ["sessions_ended"]],
  ];

  test.each(BEFORE_WHATEVER_COMES_NEXT)("is logged before the events of the next command, %j", (when, expected) => {
    expect(endingInWords([UNTIL_60, when])).toEqual(["expired", ...expected]);
    expect(endingInWords([...wrongs(4, -60), wrong(0), when])).toEqual(["expired", ...expected]);
    expect(endingInWords([when])).toEqual(expected);
  });

  test("is logged for an inactive user too", () => {
    const given = [UNTIL_60, command(1, { type: "deactivate" })];
    expect(endingInWords([...given, command(60, { type: "activate" })])).toEqual(["expired", "activated"]);
  });

  test("is not logged by a refused command, such as an unlock after the end", () => {
    expect(() => tell([UNTIL_60, unlock(60)])).toThrow(expect.objectContaining({ reason: "USER_NOT_LOCKED" }));
    expect(endingInWords([UNTIL_60, unlock(59.999_999)])).toEqual(["unlocked"]);
  });

  test("does not exist for a deleted user", () => {
    const { state } = tell([UNTIL_60, command(1, { type: "delete" })]);
    expect(lockOf(state, timeAt(2))).toBeUndefined();
    expect(() => user.decide(state, EXPIRE, { time: timeAt(60), actor: { subject: "userlock" } })).toThrow(
      expect.objectContaining({ reason: "USER_NOT_FOUND" }),
    );
  });
});
