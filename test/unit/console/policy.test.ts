// Proves that the sentences about a lockout policy say what the rules of the domain do, in both languages.
import { create } from "@bufbuild/protobuf";
import { LockoutPolicySchema } from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import { policyDe, policyEn } from "../../../src/console/i18n/policy.ts";
import { type FieldInput, inputOf, readInput } from "../../../src/console/policy/input.ts";
import { policySentences } from "../../../src/console/policy/sentence.ts";
import { type Field, toPolicy, type Values, valuesOf } from "../../../src/console/policy/values.ts";
import { addFailure, addLock, DEFAULT_POLICY, lockAfter, NO_ATTEMPTS } from "../../../src/domain/lockout.ts";

const MINUTE = 60;
const HOUR = 3_600;
const DAY = 86_400;
const DEFAULTS: Values = {
  ...DEFAULT_POLICY,
  window: DEFAULT_POLICY.window / 1e6,
  lockDuration: DEFAULT_POLICY.lockDuration / 1e6,
  maxLockDuration: DEFAULT_POLICY.maxLockDuration / 1e6,
};
const both = (values: Partial<Values>) => ({
  en: policySentences({ ...DEFAULTS, ...values }, policyEn.sentence),
  de: policySentences({ ...DEFAULTS, ...values }, policyDe.sentence),
});

test.each<[values: Partial<Values>, en: string, de: string]>([
  [
    {},
    "5 wrong passwords within 15 minutes lock for 1, 2, 4 … minutes, at most 1 hour.",
    "5 falsche Passwörter innerhalb von 15 Minuten sperren für 1, 2, 4 … Minuten, höchstens 1 Stunde.",
  ],
  [{ maxAttempts: 0 }, "Wrong passwords never lock.", "Falsche Passwörter sperren nie."],
  [
    { maxAttempts: 1 },
    "Each wrong password locks for 1, 2, 4 … minutes, at most 1 hour.",
    "Jedes falsche Passwort sperrt für 1, 2, 4 … Minuten, höchstens 1 Stunde.",
  ],
  [
    { window: 2 * DAY, maxLockDuration: 0 },
    "5 wrong passwords within 2 days lock until someone unlocks.",
    "5 falsche Passwörter innerhalb von 2 Tagen sperren, bis jemand entsperrt.",
  ],
  [
    { maxAttempts: 3, window: 90 * MINUTE, lockDuration: HOUR },
    "3 wrong passwords within 1 hour and 30 minutes lock for 1 hour each time.",
    "3 falsche Passwörter innerhalb von 1 Stunde und 30 Minuten sperren jedes Mal für 1 Stunde.",
  ],
  [
    { lockDuration: 5 * HOUR },
    "5 wrong passwords within 15 minutes lock for 1 hour each time.",
    "5 falsche Passwörter innerhalb von 15 Minuten sperren jedes Mal für 1 Stunde.",
  ],
  [
    { lockDuration: 30 * MINUTE },
    "5 wrong passwords within 15 minutes lock for 30 minutes, then for 1 hour each time.",
    "5 falsche Passwörter innerhalb von 15 Minuten sperren für 30 Minuten, dann jedes Mal für 1 Stunde.",
  ],
  [
    { lockDuration: HOUR, maxLockDuration: 90 * MINUTE },
    "5 wrong passwords within 15 minutes lock for 1 hour, then for 1 hour and 30 minutes each time.",
    "5 falsche Passwörter innerhalb von 15 Minuten sperren für 1 Stunde, dann jedes Mal für 1 Stunde und 30 Minuten.",
  ],
  [
    { lockDuration: 20 * MINUTE },
    "5 wrong passwords within 15 minutes lock for 20, then 40 minutes, then for 1 hour each time.",
    "5 falsche Passwörter innerhalb von 15 Minuten sperren für 20, dann 40 Minuten, dann jedes Mal für 1 Stunde.",
  ],
  [
    { lockDuration: 15 * MINUTE },
    "5 wrong passwords within 15 minutes lock for 15, then 30 minutes, then for 1 hour each time.",
    "5 falsche Passwörter innerhalb von 15 Minuten sperren für 15, dann 30 Minuten, dann jedes Mal für 1 Stunde.",
  ],
  [
    { window: 1.5, lockDuration: 90, maxLockDuration: 30 * DAY },
    "5 wrong passwords within 1.5 seconds lock for 90, 180, 360 … seconds, at most 30 days.",
    "5 falsche Passwörter innerhalb von 1,5 Sekunden sperren für 90, 180, 360 … Sekunden, höchstens 30 Tage.",
  ],
])("the first sentence about %j is right", (values, en, de) => {
  const found = both(values);
  expect(found.en[0]).toBe(en);
  expect(found.de[0]).toBe(de);
});

test("the other sentences about the defaults name what starts over, what never ends, devices, sessions and logins", () => {
  expect(both({}).en.slice(1)).toEqual([
    "It starts over once the user logs in, gets a new password or is unlocked by someone.",
    "100 wrong passwords in a row lock until someone unlocks; if the user has a known device, 80 are enough for unknown devices.",
    "Known devices are counted apart: a lock that unknown devices caused does not stop them.",
    "A lock ends the open sessions of the user.",
    "A login never learns that the user is locked.",
  ]);
});

const LONG = ["startsOver", "inARow", "devices", "endsSessions", "logins"];
test.each<[values: Partial<Values>, about: string[]]>([
  [{}, LONG],
  [{ lockDuration: 2 * HOUR }, ["inARow", "devices", "endsSessions", "logins"]],
  [{ maxLockDuration: 0 }, ["inARow", "devices", "endsSessions", "logins"]],
  [{ maxAttempts: 0 }, ["logins"]],
])("after the first sentence about %j there are those about %j", (values, about) => {
  const patterns: Record<string, RegExp> = {
    startsOver: /starts over|von vorn/,
    inARow: /in a row|in Folge/,
    devices: /Known devices|Bekannte Geräte/,
    endsSessions: /sessions|Sitzungen/,
    logins: /login|Anmeldung/,
  };
  for (const sentences of Object.values(both(values))) {
    expect(sentences.slice(1)).toEqual(about.map((key) => expect.stringMatching(patterns[key] as RegExp)));
  }
});

test.each<[values: Partial<Values>, en: RegExp, de: RegExp]>([
  [{ knownDevicesPass: false }, /^A lock stops every device/m, /^Eine Sperre hält jedes Gerät auf/m],
  [
    { knownDevicesPass: false },
    /^100 wrong passwords in a row lock until someone unlocks\.$/m,
    /^100 .* entsperrt\.$/m,
  ],
  [{ revealLock: true }, /up to 5 passwords/, /bis zu 5 Passwörter/],
  [{ revealLock: true, maxAttempts: 1 }, /one password/, /ein Passwort/],
  [{ revealLock: true, maxAttempts: 0 }, /one password/, /ein Passwort/],
])("about %j there is %s", (values, en, de) => {
  expect(both(values).en.join("\n")).toMatch(en);
  expect(both(values).de.join("\n")).toMatch(de);
});

test("the rules of the domain lock as the sentence about the defaults says", () => {
  const stranger = { isStranger: true, hasDevices: false };
  let attempts = NO_ATTEMPTS;
  let inARow = 0;
  const lengths: (number | undefined)[] = [];
  for (let time = 1; lengths.at(-1) !== undefined || lengths.length === 0; time += 1) {
    const failure = { device: "", mac: String(time), window: DEFAULT_POLICY.window, at: time };
    attempts = addFailure(attempts, failure);
    inARow++;
    const lock = lockAfter(attempts, stranger, DEFAULT_POLICY, time);
    if (!lock) continue;
    lengths.push(lock.until && (lock.until - time) / 1e6 / MINUTE);
    attempts = addLock(attempts, lock.stopsDevices);
  }
  expect(lengths.slice(0, 8)).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
  expect(inARow).toBe(100);
});

test.each<[values: Partial<Values>]>([
  [{}],
  [DEFAULTS],
  [{ maxAttempts: 0, window: 90, lockDuration: 36 * HOUR, maxLockDuration: 0 }],
  [{ knownDevicesPass: false, revealLock: true }],
])("the fields of the dialog mean %j before somebody changes them", (values) => {
  expect(readInput(inputOf(values))).toEqual(values);
});

test.each<[field: Field, choice: FieldInput["choice"], amount: string, value: number | undefined]>([
  ["maxAttempts", "number", "99", 99],
  ["maxAttempts", "number", "100", undefined],
  ["maxAttempts", "number", "0", undefined],
  ["maxAttempts", "number", "2.5", undefined],
  ["maxAttempts", "number", "", undefined],
  ["window", "min", "1.1", 66],
  ["window", "s", "0.5", undefined],
  ["lockDuration", "d", "30", 30 * DAY],
  ["lockDuration", "d", "31", undefined],
  ["maxLockDuration", "h", "-1", undefined],
  ["maxLockDuration", "none", "", 0],
  ["maxLockDuration", "h", "much", undefined],
])("the field %s with the choice %s and the number %j is %p", (field, choice, amount, value) => {
  const input = { ...inputOf({}), [field]: { choice, amount } };
  expect(readInput(input)).toEqual(value === undefined ? undefined : { [field]: value });
});

test.each<[values: Partial<Values>]>([
  [{}],
  [DEFAULTS],
  [{ maxAttempts: 0, maxLockDuration: 0, revealLock: false }],
  [{ window: 1.25 }],
])("the values %j survive the way to the server and back", (values) => {
  expect(valuesOf(create(LockoutPolicySchema, toPolicy(values)))).toEqual(values);
});
