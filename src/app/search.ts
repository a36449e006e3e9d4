import { authorise, type Principal, reach } from "../domain/access.ts";
import { fold } from "../domain/fold.ts";
import { type AccessToken, accessToken } from "../domain/token.ts";
import { user } from "../domain/user.ts";
import { LOGIN_NAMES, type Lock, lockOf, type User } from "../domain/user-state.ts";
import { type EventStore, load, type SearchResult, search } from "../store/port.ts";
import type { Filter, OrderPlace, Query, SortKey, SortValue, TextMethod } from "../store/query.ts";
import type { Caller, Stored } from "./execute.ts";
import { createFairQueue } from "./fairness.ts";

/** The share of callers' searches. The store runs four at once. */
const SEARCHES = { atOnce: 4, atOnceEach: 2, waiting: 1_000, waitingEach: 200, full: "Too many searches are waiting." };
/** The share of lists of sessions or tokens, which use the connection of the rules. */
const LISTS = { atOnce: 1, waiting: 1_000, waitingEach: 200, full: "Too many lists are waiting." };

export interface TextFilter {
  method: TextMethod | "equals";
  value: string;
}

/** A condition on a user, as in the contract. */
export type UserFilter =
  | { or: UserFilter[] }
  | { and: UserFilter[] }
  | { not: UserFilter }
  | { id: TextFilter }
  | { organization: TextFilter }
  | { username: TextFilter; organizationSpecific: boolean }
  | { email: TextFilter }
  | { phone: TextFilter }
  | { state: UserState }
  | { schemaId: TextFilter }
  | { schemaType: TextFilter }
  | { lock: LockFilter }
  /** The id, a user name or the email address contains it, ignoring case. */
  | { text: string };

/** A condition on the lock; times are microseconds since the Unix epoch. */
export interface LockFilter {
  locked?: boolean;
  cause?: Lock["cause"];
  reason?: string;
  untilBefore?: number;
  untilAfter?: number;
  sinceBefore?: number;
  sinceAfter?: number;
}

export type UserState = "active" | "inactive" | "deleted" | "locked";

export type UserColumn = "id" | "created" | "changed" | "email" | "phone" | "state" | "schemaId" | "schemaType";

export interface Paging {
  offset: number;
  limit: number;
  descending: boolean;
}

/** `total` counts the objects of all pages. */
export type List<State> = SearchResult<State>;

/** Where a list of users goes on. */
export interface UserPlace extends OrderPlace {
  column: UserColumn;
  descending: boolean;
  /** The time by which states are ordered, so that the end of a lock moves no user to another page. */
  time: number;
}

export interface UserQuery extends Paging {
  filters: UserFilter[];
  column: UserColumn;
  /** The page begins after it. The offset is then 0. */
  after?: UserPlace | undefined;
  total?: false;
}

/** `next` is missing on the last page. */
export type UserList = List<User> & { next?: UserPlace };

/** How many users there are, at the time of the call. */
export interface UserCounts {
  total: number;
  active: number;
  inactive: number;
  locked: number;
  lockedManually: number;
  lockedByPasswordFailures: number;
  /** Locks that end within an hour. */
  endingSoon: number;
  /** The most frequent reasons of locks. */
  reasons: { reason: string; users: number }[];
}

/** Locks that end within this time end soon, microseconds: an hour. */
const SOON = 3_600_000_000;
/** The number of counted reasons. */
const MAX_REASONS = 20;

/** The caller of a search. Its signal aborts the search. */
export type Asker = Pick<Caller, "principal" | "signal">;

export type Search = ReturnType<typeof createSearch>;

const DELETED: Filter = { field: "state.lifecycle", is: "deleted" };

/** Locked at this time. An expired lock does not count. */
const locked = (now: number): Filter => ({
  all: [{ field: "state.lock", exists: true }, { not: { field: "state.lock.until", atMost: now } }],
});

const inLifecycle = (lifecycle: User["lifecycle"], now: number): Filter => ({
  all: [{ field: "state.lifecycle", is: lifecycle }, { not: locked(now) }],
});

const STATES: Record<UserState, (now: number) => Filter> = {
  active: (now) => inLifecycle("active", now),
  inactive: (now) => inLifecycle("inactive", now),
  deleted: () => DELETED,
  locked,
};

const COLUMNS: Record<UserColumn, (now: number) => SortKey[]> = {
  id: () => [],
  created: () => [{ field: "created" }],
  changed: () => [{ field: "changed" }],
  email: () => [{ field: "state.email.address" }],
  phone: () => [{ field: "state.phone.number" }],
  state: (now) => [{ test: locked(now) }, { test: inLifecycle("inactive", now) }],
  schemaId: () => [{ field: "state.schemaId" }],
  schemaType: () => [{ field: "state.schemaType" }],
};

/** The values of the sort keys of COLUMNS. */
const VALUES: Record<UserColumn, (user: Stored<User>, now: number) => readonly (SortValue | undefined)[]> = {
  id: () => [],
  created: ({ created }) => [created],
  changed: ({ changed }) => [changed],
  email: ({ state }) => [state.email?.address],
  phone: ({ state }) => [state.phone?.number],
  state: ({ state }, now) => {
    const isLocked = lockOf(state, now) !== undefined;
    return [isLocked, !isLocked && state.lifecycle === "inactive"];
  },
  schemaId: ({ state }) => [state.schemaId],
  schemaType: ({ state }) => [state.schemaType],
};

export type Lists = ReturnType<typeof createLists>;

/** Lists pages of sessions or tokens. Callers take turns. */
export function createLists(store: EventStore) {
  const lists = createFairQueue(LISTS);
  type Rules<State> = Parameters<typeof search<State>>[1];
  return <State>({ principal, signal }: Asker, rules: Rules<State>, query: Omit<Query, "kind">) =>
    lists(principal.subject, () => search(store, rules, query, { signal, isLookUp: true }), signal);
}

/**
 * The only way to search: it returns only what the principal may see. Callers take turns. Rejects with
 * TOO_MANY_REQUESTS if too many wait. `lists` is shared with other lists of sessions or tokens.
 */
export function createSearch({
  store,
  clock,
  lists = createLists(store),
}: {
  store: EventStore;
  clock: () => number;
  lists?: Lists;
}) {
  const searches = createFairQueue(SEARCHES);

  /** A page of the users that meet all conditions and that the caller may see. */
  function usersInTurn({ principal, signal }: Asker, conditions: Filter[], page: Omit<Query, "kind" | "where">) {
    const where = { all: [...seenBy(principal), ...conditions] };
    return searches(principal.subject, () => search(store, user, { where, ...page }, { signal }), signal);
  }

  return {
    /** The user. Rejects with USER_NOT_FOUND. */
    async user(principal: Principal, id: string): Promise<Stored<User>> {
      const record = await load(store, user, id);
      const found = record && !user.isGone(record.state) ? record : undefined;
      const { toSee, notFound } = user;
      return authorise(principal, { permission: toSee, toSee, notFound }, found);
    },
    async users(asker: Asker, { filters, column, descending, after, ...page }: UserQuery): Promise<UserList> {
      const now = clock();
      const time = after?.time ?? now;
      const where = filters.map((filter) => toFilter(filter, now));
      const order = { keys: COLUMNS[column](time), descending };
      // One more, which shows whether there is a next page.
      const found = await usersInTurn(asker, where, { order, after, ...page, limit: page.limit + 1 });
      const records = found.records.slice(0, page.limit);
      const last = records.at(-1);
      if (!last || !(found.isCut || found.records.length > page.limit)) return found;
      const values = VALUES[column](last, time).map((value) => value ?? null);
      return { ...found, records, next: { values, id: last.id, column, descending, time } };
    },
    /** Counts the users that meet all conditions and that the caller may see. */
    async count({ principal, signal }: Asker, filters: UserFilter[]): Promise<UserCounts> {
      const now = clock();
      const where = { all: [...seenBy(principal), ...filters.map((filter) => toFilter(filter, now))] };
      const lock = (filter: LockFilter) => lockFilter(filter, now);
      const part = {
        where: locked(now),
        tests: [lock({ cause: "manual" }), lock({ cause: "password_failures" }), lock({ untilBefore: now + SOON })],
        top: { field: "state.lock.reason", limit: MAX_REASONS },
      };
      const query = { kind: user.kind, where, tests: [inLifecycle("inactive", now)], part };
      const counts = await searches(principal.subject, () => store.count(query, signal), signal);
      const [inactive = 0] = counts.tests;
      const [lockedManually = 0, lockedByPasswordFailures = 0, endingSoon = 0] = counts.part.tests;
      return {
        total: counts.total,
        active: counts.total - inactive - counts.part.total,
        inactive,
        locked: counts.part.total,
        lockedManually,
        lockedByPasswordFailures,
        endingSoon,
        reasons: counts.part.top.map(({ text, count }) => ({ reason: text, users: count })),
      };
    },
    /** A page of users after an id, ordered by id. Late pages are as fast as early ones. */
    async usersAfter(
      asker: Asker,
      question: { filters: UserFilter[]; organization?: string | undefined; after: string; limit: number },
    ): Promise<{ ids: string[]; hasMore: boolean }> {
      const { filters, organization, after, limit } = question;
      const now = clock();
      const where: Filter[] = [{ field: "id", after }, ...filters.map((filter) => toFilter(filter, now))];
      if (organization !== undefined) {
        where.push(toFilter({ organization: { method: "equals", value: organization } }, now));
      }
      const page = { order: { keys: [], descending: false }, offset: 0, limit: limit + 1, total: false as const };
      const { records, isCut } = await usersInTurn(asker, where, page);
      return { ids: records.slice(0, limit).map(({ id }) => id), hasMore: isCut || records.length > limit };
    },
    /** Tokens that are not revoked, ordered by id. */
    async tokens(
      asker: Asker,
      { subject, descending, ...page }: Paging & { subject?: string | undefined },
    ): Promise<List<AccessToken>> {
      const where: Filter[] = [visible(asker.principal, accessToken.toSee), { field: "state.revoked", is: false }];
      if (subject !== undefined) where.push({ field: "state.subject", is: subject });
      const query = { where: { all: where }, order: { keys: [], descending }, ...page };
      return lists(asker, accessToken, query);
    },
  };
}

/** The users that the principal may see. */
const seenBy = (principal: Principal): Filter[] => [visible(principal), { not: DELETED }];

/** The rule `may` as a filter over all owners. */
function visible(principal: Principal, permission = user.toSee): Filter {
  if (principal.isSystem) return { all: [] };
  const { instance, organizations } = reach(principal, permission);
  if (instance) return { not: { field: "owner.type", is: "system" } };
  return {
    all: [{ field: "owner.type", is: "org" }, { any: organizations.map((id) => ({ field: "owner.id", is: id })) }],
  };
}

function toFilter(filter: UserFilter, now: number): Filter {
  const inner = (one: UserFilter) => toFilter(one, now);
  if ("or" in filter) return { any: filter.or.map(inner) };
  if ("and" in filter) return { all: filter.and.map(inner) };
  if ("not" in filter) return { not: inner(filter.not) };
  if ("id" in filter) return text("id", filter.id);
  if ("organization" in filter) {
    return { all: [{ field: "owner.type", is: "org" }, text("owner.id", filter.organization)] };
  }
  if ("username" in filter) {
    const name = text("element.name", filter.username);
    const specific: Filter = { field: "element.organizationSpecific", is: true };
    return { some: "state.usernames", where: filter.organizationSpecific ? { all: [name, specific] } : name };
  }
  if ("email" in filter) return text("state.email.address", filter.email);
  if ("phone" in filter) return text("state.phone.number", filter.phone);
  if ("state" in filter) return STATES[filter.state](now);
  if ("schemaId" in filter) return text("state.schemaId", filter.schemaId);
  if ("schemaType" in filter) return text("state.schemaType", filter.schemaType);
  if ("text" in filter) return anyText(filter.text);
  return lockFilter(filter.lock, now);
}

/** Indexes have ids, addresses and the claims of user names. The claim of a name may match by other parts of it. */
function anyText(value: string): Filter {
  const contains = { method: "contains_ignore_case", value } as const;
  const idOrEmail = { any: [text("id", contains), text("state.email.address", contains)] };
  const username = { some: "state.usernames", where: text("element.name", contains) };
  const candidates = { any: [{ rare: idOrEmail }, { claim: LOGIN_NAMES, contains: fold(value) }] };
  return { all: [candidates, { any: [idOrEmail, username] }] };
}

function lockFilter({ locked: wanted, ...lock }: LockFilter, now: number): Filter {
  const conditions: Filter[] = [];
  if (lock.cause !== undefined) conditions.push({ field: "state.lock.cause", is: lock.cause });
  if (lock.reason !== undefined) conditions.push({ field: "state.lock.reason", is: lock.reason });
  if (lock.untilBefore !== undefined) conditions.push({ field: "state.lock.until", atMost: lock.untilBefore - 1 });
  if (lock.untilAfter !== undefined) conditions.push({ field: "state.lock.until", atLeast: lock.untilAfter + 1 });
  if (lock.sinceBefore !== undefined) conditions.push({ field: "state.lock.since", atMost: lock.sinceBefore - 1 });
  if (lock.sinceAfter !== undefined) conditions.push({ field: "state.lock.since", atLeast: lock.sinceAfter + 1 });
  if (conditions.length > 0 || wanted === true) conditions.push(locked(now));
  if (wanted === false) conditions.push({ not: locked(now) });
  return { all: conditions };
}

function text(field: string, { method, value }: TextFilter): Filter {
  return method === "equals" ? { field, is: value } : { field, text: method, value };
}
