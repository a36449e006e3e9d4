import { authorise, type Principal, reach } from "../domain/access.ts";
import { type AccessToken, accessToken } from "../domain/token.ts";
import { type User, user } from "../domain/user.ts";
import type { EventStore, Filter, SortKey, TextMethod } from "../store/port.ts";
import type { Stored } from "./execute.ts";

export interface TextFilter {
  method: TextMethod | "equals";
  value: string;
}

/** A condition on a user, in the words of the contract. */
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
  | { schemaType: TextFilter };

export type UserState = "active" | "inactive" | "deleted" | "locked";

export type UserColumn = "id" | "created" | "changed" | "email" | "phone" | "state" | "schemaId" | "schemaType";

export interface Page {
  offset: number;
  limit: number;
  descending: boolean;
}

export interface List<State> {
  result: Stored<State>[];
  /** How many there are on all pages. */
  total: number;
}

/** The one way to ask: nothing comes out that the principal may not see. */
export interface Search {
  /** Rejects with USER_NOT_FOUND. */
  user(principal: Principal, id: string): Promise<Stored<User>>;
  users(principal: Principal, question: Page & { filters: UserFilter[]; column: UserColumn }): Promise<List<User>>;
  /** Tokens that are not revoked, in the order of their ids. */
  tokens(principal: Principal, question: Page & { subject?: string | undefined }): Promise<List<AccessToken>>;
}

const LOCKED: Filter = { field: "state.lock", exists: true };
const INACTIVE: Filter = { all: [{ field: "state.lifecycle", is: "inactive" }, { not: LOCKED }] };
const DELETED: Filter = { field: "state.lifecycle", is: "deleted" };

const STATES: Record<UserState, Filter> = {
  active: { all: [{ field: "state.lifecycle", is: "active" }, { not: LOCKED }] },
  inactive: INACTIVE,
  deleted: DELETED,
  locked: LOCKED,
};

const COLUMNS: Record<UserColumn, SortKey[]> = {
  id: [],
  created: [{ field: "created" }],
  changed: [{ field: "changed" }],
  email: [{ field: "state.email.address" }],
  phone: [{ field: "state.phone.number" }],
  state: [{ test: LOCKED }, { test: INACTIVE }],
  schemaId: [{ field: "state.schemaId" }],
  schemaType: [{ field: "state.schemaType" }],
};

export function createSearch(store: EventStore): Search {
  async function list<State>(kind: string, where: Filter, keys: SortKey[], page: Page): Promise<List<State>> {
    const { offset, limit, descending } = page;
    const { records, total } = await store.search({ kind, where, order: { keys, descending }, offset, limit });
    return { result: records as Stored<State>[], total };
  }

  return {
    async user(principal, id) {
      const record = (await store.load(user.kind, id)) as Stored<User> | undefined;
      const found = record && !user.isGone(record.state) ? record : undefined;
      const { toSee, notFound } = user;
      authorise(principal, { permission: toSee, toSee, notFound }, found?.owner);
      return found as Stored<User>;
    },
    users: (principal, { filters, column, ...page }) =>
      list(user.kind, { all: [visible(principal), { not: DELETED }, ...filters.map(toFilter)] }, COLUMNS[column], page),
    tokens: (principal, { subject, ...page }) => {
      const where: Filter[] = [visible(principal, accessToken.toSee), { field: "state.revoked", is: false }];
      if (subject !== undefined) where.push({ field: "state.subject", is: subject });
      return list(accessToken.kind, { all: where }, [], page);
    },
  };
}

/** What `may` says of one owner, said of all of them. */
function visible(principal: Principal, permission = user.toSee): Filter {
  const { instance, organizations } = reach(principal, permission);
  if (instance) return { not: { field: "owner.type", is: "system" } };
  return {
    all: [{ field: "owner.type", is: "org" }, { any: organizations.map((id) => ({ field: "owner.id", is: id })) }],
  };
}

function toFilter(filter: UserFilter): Filter {
  if ("or" in filter) return { any: filter.or.map(toFilter) };
  if ("and" in filter) return { all: filter.and.map(toFilter) };
  if ("not" in filter) return { not: toFilter(filter.not) };
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
  if ("state" in filter) return STATES[filter.state];
  if ("schemaId" in filter) return text("state.schemaId", filter.schemaId);
  return text("state.schemaType", filter.schemaType);
}

function text(field: string, { method, value }: TextFilter): Filter {
  return method === "equals" ? { field, is: value } : { field, text: method, value };
}
