// Proves that a stored answer is found only by the caller of its idempotency key.
import { createReceipts } from "../../../src/app/receipts.ts";
import { createInstanceSecrets } from "../../../src/auth/instance-secrets.ts";
import { type EventStore, LOG_START } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { handClock } from "../../support/servers/app.ts";
import { change, NOW } from "../../support/stores/appends.ts";

const DAY = 24 * 3_600 * 1_000_000;
const secrets = createInstanceSecrets(Buffer.alloc(32, 1));
const clock = handClock(NOW);
const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString();

let store: EventStore;
beforeEach(async () => {
  clock.set(NOW);
  store = await openSqliteStore(":memory:", "default");
});
afterEach(() => store.close());

const callOf = (more: object = {}, sealer = secrets) =>
  createReceipts({ store, sealer, clock })({
    principal: { subject: "operator", tokenId: "t1", grants: [] },
    idempotencyKey: "key",
    method: "LockUser",
    request: Buffer.from("lock 42"),
    ...more,
  });

test("the same call finds the answer stored with its change for 24 hours", async () => {
  expect(await callOf().find()).toBeUndefined();
  await store.append(change("42", { receipt: callOf().of(Buffer.from("done")) }));
  expect(text(await callOf().find())).toBe("done");
  clock.set(NOW + DAY - 1);
  expect(text(await callOf().find())).toBe("done");
  clock.set(NOW + DAY);
  expect(await callOf().find()).toBeUndefined();
});

test("an answer without a change is stored once", async () => {
  expect(await callOf().keep(Buffer.from("first"))).toBe(true);
  expect(await callOf().keep(Buffer.from("second"))).toBe(false);
  expect(text(await callOf().find())).toBe("first");
  expect(await store.head()).toBe(LOG_START);
});

test.each([
  ["another method", { method: "UnlockUser" }],
  ["another request", { request: Buffer.from("lock 43") }],
  [
    "another request whose method and message concatenate to the same bytes",
    { method: "LockUserlock", request: Buffer.from(" 42") },
  ],
])("a key that is repeated with %s is refused with IDEMPOTENCY_KEY_REUSED", async (_, more) => {
  await callOf().keep(Buffer.from("done"));
  await expect(callOf(more).find()).rejects.toMatchObject({ reason: "IDEMPOTENCY_KEY_REUSED" });
});

test.each([
  ["another key", { idempotencyKey: "another" }],
  ["another subject", { principal: { subject: "another", tokenId: "t1", grants: [] } }],
  ["another token", { principal: { subject: "operator", tokenId: "t2", grants: [] } }],
  ["a JWT", { principal: { subject: "operator", grants: [] } }],
  ["a session", { principal: { subject: "operator", session: { id: "t1", epoch: 0 }, grants: [] } }],
  [
    "a subject and a token id that concatenate to the same text",
    { principal: { subject: "operatort1", tokenId: "", grants: [] } },
  ],
])("a call with %s does not find the answer", async (_, more) => {
  await callOf().keep(Buffer.from("done"));
  expect(await callOf(more).find()).toBeUndefined();
});

const OF_ONE_SUBJECT = [
  ["a JWT", {}],
  ["a session", { session: { id: "s1", epoch: 0 } }],
  ["another session", { session: { id: "s2", epoch: 0 } }],
  ["a token", { tokenId: "s1" }],
] as const;

test.each(OF_ONE_SUBJECT)(
  "%s of a subject does not share receipts with the subject's other credentials",
  async (means, presented) => {
    const principal = { subject: "operator", grants: [] };
    await callOf({ principal: { ...principal, ...presented } }).keep(Buffer.from("done"));
    for (const [other, otherPresented] of OF_ONE_SUBJECT) {
      const found = await callOf({ principal: { ...principal, ...otherPresented } }).find();
      expect([other, text(found)]).toEqual([other, other === means ? "done" : undefined]);
    }
  },
);

test("each part of a call has its own answer, for the same request only", async () => {
  await callOf().part("42").keep(Buffer.from("of 42"));
  expect(await callOf().find()).toBeUndefined();
  expect(await callOf().part("43").find()).toBeUndefined();
  expect(text(await callOf().part("42").find())).toBe("of 42");
  await expect(
    callOf({ request: Buffer.from("other") })
      .part("42")
      .find(),
  ).rejects.toMatchObject({
    reason: "IDEMPOTENCY_KEY_REUSED",
  });
});

test("the answer, the request and the key can neither be read nor guessed from a stored receipt", async () => {
  const secret = "userlock_secret-of-a-token";
  const call = callOf({ idempotencyKey: secret, request: Buffer.from(secret) });
  const receipt = call.of(Buffer.from(secret));
  expect(JSON.stringify({ ...receipt, answer: Buffer.from(receipt.answer).toString("latin1") })).not.toContain(secret);
  const otherKey = createInstanceSecrets(Buffer.alloc(32, 2));
  const same = callOf({ idempotencyKey: secret, request: Buffer.from(secret) }, otherKey).of(Buffer.from(secret));
  expect(same.key).not.toBe(receipt.key);
  expect(same.fingerprint).not.toBe(receipt.fingerprint);
  expect(() => otherKey.unseal(receipt.answer, receipt.key)).toThrow();
  expect(() => secrets.unseal(receipt.answer, "another place")).toThrow();
});
