import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { FieldName, LockCause, State, TextFilterMethod } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import type { Filter } from "../act/perform.ts";

/** What the list of users asks for, as its address has it. */
export interface Question {
  text: string;
  state: "" | "active" | "inactive" | "locked";
  cause: "" | "manual" | "passwords";
  reason: string;
  organization: string;
  endsSoon: boolean;
  sort: Sort;
  isDescending: boolean;
  /** Where the page begins. */
  cursor: string;
}

export const STATES = ["active", "inactive", "locked"] as const;
export const CAUSES = ["manual", "passwords"] as const;
export type Sort = "id" | "email" | "state" | "changed";

const SOON_MS = 3_600_000;

const STATE_VALUES = {
  active: State.USER_STATE_ACTIVE,
  inactive: State.USER_STATE_INACTIVE,
  locked: State.USER_STATE_LOCKED,
} as const;
const CAUSE_VALUES = { manual: LockCause.MANUAL, passwords: LockCause.PASSWORD_FAILURES } as const;
const SORT_VALUES: Record<Sort, FieldName> = {
  id: FieldName.ID,
  email: FieldName.EMAIL,
  state: FieldName.STATE,
  changed: FieldName.CHANGE_DATE,
};

const among = <Value extends string>(value: string | null, allowed: readonly Value[]) =>
  allowed.find((one) => one === value);

/** Reads the question from the query of an address. */
export function questionOf({ searchParams }: URL): Question {
  const get = (name: string) => searchParams.get(name) ?? "";
  return {
    text: get("q"),
    state: among(get("state"), STATES) ?? "",
    cause: among(get("cause"), CAUSES) ?? "",
    reason: get("reason"),
    organization: get("org"),
    endsSoon: get("soon") === "1",
    sort: among(get("sort"), ["id", "email", "state", "changed"]) ?? "id",
    isDescending: get("desc") === "1",
    cursor: get("cursor"),
  };
}

/** The parameters that `questionOf` reads as filters. */
export const FILTER_PARAMETERS = ["q", "state", "cause", "reason", "org", "soon"] as const;

export const sortingColumn = ({ sort }: Question): FieldName => SORT_VALUES[sort];

/** The filters of a question. All must match. */
export function filtersOf(question: Question, now: number): Filter[] {
  const { text, state, cause, reason, organization, endsSoon } = question;
  const filters: Filter[] = [];
  if (text.trim() !== "") filters.push({ filter: { case: "textFilter", value: { text: text.trim() } } });
  if (state !== "") filters.push({ filter: { case: "stateFilter", value: { state: STATE_VALUES[state] } } });
  if (cause !== "") filters.push(lockFilter({ cause: CAUSE_VALUES[cause] }));
  if (reason !== "") filters.push(lockFilter({ reason }));
  if (organization !== "") {
    const method = TextFilterMethod.EQUALS;
    filters.push({ filter: { case: "organizationIdFilter", value: { id: organization, method } } });
  }
  if (endsSoon) filters.push(lockFilter({ untilBefore: timestampFromMs(now + SOON_MS) }));
  return filters;
}

type LockConditions = Extract<NonNullable<Filter["filter"]>, { case: "lockFilter" }>["value"];
const lockFilter = (value: LockConditions): Filter => ({ filter: { case: "lockFilter", value } });

/** A filter that every user matches, because a change of all users must not happen by an empty list. */
export const EVERYONE: Filter = {
  filter: { case: "orFilter", value: { queries: [lockFilter({ locked: true }), lockFilter({ locked: false })] } },
};
