import {
  FieldName,
  LockCause,
  type LockFilter as LockFilterMessage,
  type SearchFilter,
  State,
  TextFilterMethod,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import type { LockFilter, TextFilter, UserColumn, UserFilter, UserState } from "../../app/search.ts";
import { invalidField } from "../../domain/errors.ts";
import { fromTimestamp } from "./messages.ts";

const METHODS: Record<(typeof TextFilterMethod)[keyof typeof TextFilterMethod], TextFilter["method"]> = {
  [TextFilterMethod.EQUALS]: "equals",
  [TextFilterMethod.EQUALS_IGNORE_CASE]: "equals_ignore_case",
  [TextFilterMethod.STARTS_WITH]: "starts_with",
  [TextFilterMethod.STARTS_WITH_IGNORE_CASE]: "starts_with_ignore_case",
  [TextFilterMethod.CONTAINS]: "contains",
  [TextFilterMethod.CONTAINS_IGNORE_CASE]: "contains_ignore_case",
};

const COLUMNS: Record<(typeof FieldName)[keyof typeof FieldName], UserColumn> = {
  [FieldName.UNSPECIFIED]: "created",
  [FieldName.ID]: "id",
  [FieldName.CREATION_DATE]: "created",
  [FieldName.CHANGE_DATE]: "changed",
  [FieldName.EMAIL]: "email",
  [FieldName.PHONE]: "phone",
  [FieldName.STATE]: "state",
  [FieldName.SCHEMA_ID]: "schemaId",
  [FieldName.SCHEMA_TYPE]: "schemaType",
};

const STATES: Partial<Record<State, UserState>> = {
  [State.USER_STATE_ACTIVE]: "active",
  [State.USER_STATE_INACTIVE]: "inactive",
  [State.USER_STATE_DELETED]: "deleted",
  [State.USER_STATE_LOCKED]: "locked",
};

const CAUSES = {
  [LockCause.MANUAL]: "manual",
  [LockCause.PASSWORD_FAILURES]: "password_failures",
} as const;

export function fromColumn(column: FieldName): UserColumn {
  return COLUMNS[column as keyof typeof COLUMNS];
}

/** Converts valid filters. */
export function fromFilters(filters: SearchFilter[]): UserFilter[] {
  return filters.map(fromFilter);
}

function fromFilter({ filter }: SearchFilter): UserFilter {
  switch (filter.case) {
    case "orFilter":
      return { or: filter.value.queries.map(fromFilter) };
    case "andFilter":
      return { and: filter.value.queries.map(fromFilter) };
    case "notFilter":
      return { not: fromFilter(filter.value.query as SearchFilter) };
    case "userIdFilter":
      return { id: text(filter.value.method, filter.value.id) };
    case "organizationIdFilter":
      return { organization: text(filter.value.method, filter.value.id) };
    case "usernameFilter": {
      const { method, username, isOrganizationSpecific } = filter.value;
      return { username: text(method, username), organizationSpecific: isOrganizationSpecific };
    }
    case "emailFilter":
      return { email: text(filter.value.method, filter.value.address) };
    case "phoneFilter":
      return { phone: text(filter.value.method, filter.value.number) };
    case "stateFilter":
      return { state: STATES[filter.value.state] as UserState };
    case "schemaIdFilter":
      return { schemaId: text(TextFilterMethod.EQUALS, filter.value.id) };
    case "schemaTypeFilter":
      return { schemaType: text(filter.value.method, filter.value.type) };
    case "lockFilter":
      return { lock: fromLockFilter(filter.value) };
    case "textFilter":
      return { text: filter.value.text };
    case undefined:
      throw invalidField("filters", "must not have an empty filter");
  }
}

function fromLockFilter(filter: LockFilterMessage): LockFilter {
  const { locked, cause, reason, untilBefore, untilAfter, sinceBefore, sinceAfter } = filter;
  return {
    ...(locked !== undefined && { locked }),
    ...(cause !== LockCause.UNSPECIFIED && { cause: CAUSES[cause as keyof typeof CAUSES] }),
    ...(reason !== "" && { reason }),
    ...(untilBefore && { untilBefore: fromTimestamp(untilBefore) }),
    ...(untilAfter && { untilAfter: fromTimestamp(untilAfter) }),
    ...(sinceBefore && { sinceBefore: fromTimestamp(sinceBefore) }),
    ...(sinceAfter && { sinceAfter: fromTimestamp(sinceAfter) }),
  };
}

function text(method: TextFilterMethod, value: string): TextFilter {
  return { method: METHODS[method as keyof typeof METHODS], value };
}
