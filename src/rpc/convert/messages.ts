import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Duration, DurationSchema, Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import {
  type DetailsSchema,
  type ListDetailsSchema,
  LockCause,
  type LockSchema,
  type Organization,
  type OwnerSchema,
  OwnerType,
  type SearchQuery,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import type { Stored } from "../../app/execute.ts";
import type { List, Paging } from "../../app/search.ts";
import type { Owner } from "../../domain/access.ts";
import { DomainError } from "../../domain/errors.ts";
import type { Lock } from "../../domain/user-state.ts";

const DEFAULT_LIMIT = 100;
/** 9999-12-31T23:59:59Z, microseconds since the Unix epoch. */
export const LAST_SECOND = 253_402_300_799_000_000;

const OWNER_TYPES: Record<Owner["type"], OwnerType> = {
  system: OwnerType.SYSTEM,
  instance: OwnerType.INSTANCE,
  org: OwnerType.ORG,
};

const LOCK_CAUSES: Record<Lock["cause"], LockCause> = {
  manual: LockCause.MANUAL,
  password_failures: LockCause.PASSWORD_FAILURES,
};

/** Converts from microseconds since the Unix epoch. */
export function toTimestamp(micros: number): MessageInitShape<typeof TimestampSchema> {
  const seconds = Math.floor(micros / 1_000_000);
  return { seconds: BigInt(seconds), nanos: (micros - seconds * 1_000_000) * 1_000 };
}

/**
 * Converts to microseconds since the Unix epoch, cutting off nanoseconds and the last second of the year 9999: a double
 * is too coarse there, and would round up to an invalid Timestamp.
 */
export function fromTimestamp({ seconds, nanos }: Timestamp): number {
  return Math.min(Number(seconds) * 1_000_000 + Math.floor(nanos / 1_000), LAST_SECOND);
}

/** Converts to microseconds, cutting off nanoseconds. */
export function fromDuration({ seconds, nanos }: Duration): number {
  return Number(seconds) * 1_000_000 + Math.trunc(nanos / 1_000);
}

/** Converts from microseconds. */
export function toDuration(micros: number): MessageInitShape<typeof DurationSchema> {
  const seconds = Math.trunc(micros / 1_000_000);
  return { seconds: BigInt(seconds), nanos: (micros - seconds * 1_000_000) * 1_000 };
}

export function toDetails(stored: Stored<unknown>): MessageInitShape<typeof DetailsSchema> {
  return {
    id: stored.id,
    created: toTimestamp(stored.created),
    changed: toTimestamp(stored.changed),
    owner: toOwner(stored.owner),
  };
}

export function toOwner({ type, id }: Owner): MessageInitShape<typeof OwnerSchema> {
  return { type: OWNER_TYPES[type], id };
}

export function toLock({ cause, reason, note, by, since, until }: Lock): MessageInitShape<typeof LockSchema> {
  return {
    cause: LOCK_CAUSES[cause],
    reason,
    note,
    lockedBy: by,
    since: toTimestamp(since),
    ...(until !== undefined && { until: toTimestamp(until) }),
  };
}

/** The response of a method that returns only details. */
export function toDetailsAnswer(stored: Stored<unknown>): { details: MessageInitShape<typeof DetailsSchema> } {
  return { details: toDetails(stored) };
}

export function fromPage(query: SearchQuery | undefined): Paging {
  return {
    offset: Number(query?.offset ?? 0),
    limit: query?.limit || DEFAULT_LIMIT,
    descending: query?.desc ?? false,
  };
}

export function toListDetails(
  page: Paging,
  list: List<unknown>,
  now: number,
): MessageInitShape<typeof ListDetailsSchema> {
  const appliedLimit = list.isCut ? list.records.length : page.limit;
  return { appliedLimit: BigInt(appliedLimit), totalResult: BigInt(list.total), timestamp: toTimestamp(now) };
}

/** The id of the request's organization, if any. */
export function fromOrganization(organization: Organization | undefined): string | undefined {
  if (organization?.property.case === "orgDomain") {
    throw notServed("organization.org_domain: userlock keeps no organizations; use org_id");
  }
  return organization?.property.value;
}

/** The owner of a new object: the request's organization, or the instance. */
export function ownerFor(organization: Organization | undefined, instanceId: string): Owner {
  const id = fromOrganization(organization);
  return id === undefined ? { type: "instance", id: instanceId } : { type: "org", id };
}

export function notServed(what: string): DomainError {
  return new DomainError("NOT_SERVED", what);
}
