import { signal } from "@preact/signals";
import type { CountUsersResponse } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { users } from "../core/api.ts";
import { filtersOf, type Question } from "./question.ts";

/** The numbers beside the chips: of the users that match the other filters. Undefined until they are known. */
export const counts = signal<CountUsersResponse | undefined>(undefined);
/** The number of users that match the whole question. */
export const total = signal<number | undefined>(undefined);

/** Counting reads many users, so it waits until the typing pauses, milliseconds. */
const PAUSE_MS = 250;

let running = new AbortController();
let timer: ReturnType<typeof setTimeout> | undefined;

/** Counts the users of a question. A newer question replaces an older one. */
export function count(question: Question): void {
  running.abort();
  running = new AbortController();
  const { signal: gone } = running;
  clearTimeout(timer);
  total.value = undefined;
  timer = setTimeout(() => void countNow(question, gone).catch(() => {}), PAUSE_MS);
}

async function countNow(question: Question, gone: AbortSignal): Promise<void> {
  const now = Date.now();
  const isNarrow = question.state !== "" || question.cause !== "" || question.endsSoon;
  const withoutChips: Question = { ...question, state: "", cause: "", endsSoon: false };
  const [all, narrow] = await Promise.all([
    users.countUsers({ filters: filtersOf(withoutChips, now) }, { signal: gone }),
    isNarrow ? users.countUsers({ filters: filtersOf(question, now) }, { signal: gone }) : undefined,
  ]);
  if (gone.aborted) return;
  counts.value = all;
  total.value = Number((narrow ?? all).total);
}
