import type { Append, Receipt } from "./port.ts";

/** An append with serialized JSON, so that an invalid value fails only its own caller. */
export interface Row {
  kind: string;
  id: string;
  expectedVersion: number;
  events: readonly { type: string; data: string }[];
  userId: string | undefined;
  time: number;
  actor: string;
  ownerType: string;
  ownerId: string;
  state: string;
  claims: { add: readonly string[]; remove: readonly string[] };
  requires: readonly { kind: string; id: string; version: number }[];
  absent: { kind: string; subject: string } | undefined;
  /** With the clock's time. */
  receipt: (Receipt & { now: number }) | undefined;
}

/** Serializes an append. Throws a TypeError for a value that is not JSON, or text that not every store can keep. */
export function toRow(append: Append): Row {
  const { kind, id, expectedVersion, userId, time, owner, claims, requires, absent, receipt } = append;
  checkTexts([kind, id, owner.type, owner.id, userId ?? ""]);
  checkTexts(claims.add);
  checkTexts(claims.remove);
  for (const other of requires) checkTexts([other.kind, other.id]);
  if (absent) checkTexts([absent.kind, absent.subject]);
  if (receipt) checkTexts([receipt.key, receipt.fingerprint]);
  return {
    kind,
    id,
    expectedVersion,
    events: append.events.map(({ type, data }) => ({ type: checkText(type), data: toJson(data) })),
    userId,
    time,
    actor: toJson(append.actor),
    ownerType: owner.type,
    ownerId: owner.id,
    state: toJson(append.state),
    claims,
    requires,
    absent,
    receipt: receipt && { ...receipt, now: append.now ?? time },
  };
}

/** Whether every store can keep the text. Other text is in no store, so look-ups may skip it. */
export function isText(value: string): boolean {
  return value.isWellFormed() && !value.includes("\0");
}

function checkTexts(values: readonly string[]): void {
  for (const value of values) checkText(value);
}

function checkText(value: string): string {
  if (!isText(value)) throw notText();
  return value;
}

/** JSON.stringify escapes U+0000 and lone surrogates, and doubles backslashes. */
function toJson(value: unknown): string {
  const json = JSON.stringify(value);
  if (json.includes("\\u") && /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/.test(json)) throw notText();
  return json;
}

const notText = () => new TypeError("text with U+0000 or half a surrogate pair");
