import { createHash } from "node:crypto";
import type { SearchFilter } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { isIdentifier } from "../../domain/identifier.ts";
import { UsageError } from "../frame/errors.ts";
import type { PageRequest } from "./calls.ts";
import type { Listed } from "./id-list.ts";
import type { Place } from "./place.ts";
import { count } from "./progress.ts";

/** Users of one call. */
const PAGE = 1_000;

/** A page of users. */
interface UsersPage {
  /** Undefined if no user of the page can be asked for. */
  request: PageRequest | undefined;
  /** Ids of the list that no request can name. */
  refused: Listed[];
  /** How many users of the list are done with this page, and their hash. */
  behind?: Pick<Place, "done" | "hash">;
}

/** The pages after a place. Each goes on from the cursor that the page before was answered with. */
type UsersPages = AsyncGenerator<UsersPage, void, string>;

/** Users that pass the filters. */
export async function* pagesOfFilters(filters: SearchFilter[], { cursor: first }: Place): UsersPages {
  let cursor = first;
  do cursor = yield { request: { filters, cursor, limit: PAGE }, refused: [] };
  while (cursor !== "");
}

/** Users of a list, without the first, which are done. Throws UsageError if the list begins otherwise than before. */
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
    throw new UsageError(`the list is not the one that was begun: its first ${count(behind)} ids are others`);
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
