import type { Append, Receipt } from "./port.ts";

/** An append whose JSON is text already, so that a bad value fails its caller alone. */
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
  /** With the time at which it is kept. */
  receipt: (Receipt & { now: number }) | undefined;
}

/** Throws a TypeError if something in it is no JSON, or no text that every store can keep. */
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

/** Whether it is text that every store can keep: what is none is in no store, and need not be looked for. */
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

/** JSON.stringify escapes U+0000 and the halves of surrogate pairs, and writes a backslash of a text as two. */
function toJson(value: unknown): string {
  const json = JSON.stringify(value);
  if (json.includes("\\u") && /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/.test(json)) throw notText();
  return json;
}

const notText = () => new TypeError("text with U+0000 or half a surrogate pair");
