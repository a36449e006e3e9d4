import { createHash } from "node:crypto";
import type { SearchFilter } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { isIdentifier } from "../../domain/identifier.ts";
import { UsageError } from "../frame/errors.ts";
import type { PageRequest } from "./calls.ts";
import type { Listed } from "./id-list.ts";
import type { Place } from "./place.ts";
import { count } from "./progress.ts";

/** Users in one call. */
const PAGE = 1_000;

/** A page of users. */
interface UsersPage {
  /** Undefined if no id of the page is valid. */
  request: PageRequest | undefined;
  /** Invalid ids of the list. */
  refused: Listed[];
  /** For a list: the number and hash of all ids up to the end of this page. */
  behind?: Pick<Place, "done" | "hash">;
}

/** Pages. `next` takes the cursor of the last answer. */
type UsersPages = AsyncGenerator<UsersPage, void, string>;

/** The pages of users that pass the filters. */
export async function* pagesOfFilters(filters: SearchFilter[], { cursor: first }: Place): UsersPages {
  let cursor = first;
  do cursor = yield { request: { filters, cursor, limit: PAGE }, refused: [] };
  while (cursor !== "");
}

/** The pages of a list, after the finished ids. Throws UsageError if those differ from the earlier run. */
export async function* pagesOfList(list: AsyncIterable<Listed>, { done: behind, hash: before }: Place): UsersPages {
  const hash = createHash("sha256");
  const digest = () => hash.copy().digest("hex");
  let done = 0;
  let listed: Listed[] = [];
  const page = (): UsersPage => {
    const ids = new Set(listed.map(({ id }) => id).filter(isIdentifier));
    const refused = listed.filter(({ id }) => !isIdentifier(id));
    return { request: ids.size === 0 ? undefined : { ids: [...ids] }, refused, behind: { done, hash: digest() } };
  };
  const check = () => {
    if (digest() === before) return;
    throw new UsageError(`the list differs from that of the earlier run in its first ${count(behind)} ids`);
  };

  for await (const one of list) {
    hash.update(`${one.id}\n`);
    done++;
    if (done > behind) listed.push(one);
    else if (done === behind) check();
    if (listed.length < PAGE) continue;
    yield page();
    listed = [];
  }
  if (done < behind) check();
  if (listed.length > 0) yield page();
}
