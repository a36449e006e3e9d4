import { batch, signal } from "@preact/signals";
import type { GetUser } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { isLoggedOut, users } from "../core/api.ts";
import { filtersOf, type Question, sortingColumn } from "./question.ts";

/** The number of users of a page. */
export const PAGE = 50;

/** The page of users that is shown. */
export const page = signal<{ users: readonly GetUser[]; next: string } | undefined>(undefined);
export const failure = signal<unknown>(undefined);
/** Whether the page on the screen is older than the question. */
export const isLoading = signal(false);

let running = new AbortController();

/** Loads the page of a question. A newer question replaces an older one. */
export async function load(question: Question): Promise<void> {
  running.abort();
  running = new AbortController();
  const { signal: gone } = running;
  isLoading.value = true;
  try {
    const { result, nextCursor } = await users.searchUsers(
      {
        filters: filtersOf(question, Date.now()),
        sortingColumn: sortingColumn(question),
        query: { limit: PAGE, desc: question.isDescending },
        cursor: question.cursor,
        skipTotal: true,
      },
      { signal: gone },
    );
    if (gone.aborted) return;
    batch(() => {
      page.value = { users: result, next: nextCursor };
      failure.value = undefined;
      isLoading.value = false;
    });
  } catch (error) {
    if (gone.aborted || isLoggedOut(error)) return;
    failure.value = error;
    isLoading.value = false;
  }
}

/** Loads the users of the page again by their ids, so that rows change in place and none moves under the pointer. */
export async function refresh(ids: readonly string[]): Promise<void> {
  const before = page.value;
  if (!before || ids.length === 0) return;
  const found = await Promise.allSettled(ids.map((id) => users.getUser({ id })));
  const fresh = new Map<string, GetUser>();
  for (const one of found) {
    const user = one.status === "fulfilled" ? one.value.user : undefined;
    if (user?.details) fresh.set(user.details.id, user);
  }
  const { value } = page;
  if (value) page.value = { ...value, users: value.users.map((user) => fresh.get(user.details?.id ?? "") ?? user) };
}
