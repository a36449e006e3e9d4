// Proves that the tables of docs/limits.md have the limits of the code and of the contract.
import { readFileSync } from "node:fs";
import { type DescField, type DescMessage, getOption } from "@bufbuild/protobuf";
import { field as fieldRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { CreateTokenRequestSchema } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { ListEventsRequestSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import {
  BatchLockUsersRequestSchema,
  SearchQuerySchema,
  UserService,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { PAGE } from "../../../src/app/follow/denied-users.ts";
import { MAX_READS } from "../../../src/app/follow/watch.ts";
import { REASONS } from "../../../src/domain/errors.ts";
import { MAX_USERNAMES } from "../../../src/domain/user.ts";
import { MAX_ITEMS } from "../../../src/rpc/check-request.ts";
import { MAX_LOOKUPS, MAX_PAGE_LENGTH, MAX_WAITING } from "../../../src/store/limits.ts";
import { MAX_SESSION_MS } from "../../../src/transport/console/cookie.ts";
import { maxBytesOf, maxJsonBytesOf } from "../../../src/transport/http/body.ts";
import { LIMITS } from "../../../src/transport/limits.ts";
import { MAX_VALUES } from "../../../src/transport/values.ts";
import { rows } from "../../support/docs.ts";

const counts = (...numbers: number[]) => numbers.map((number) => number.toLocaleString("en")).join("; ");
const kibibytes = (bytes: number) => `${bytes / 2 ** 10} KiB`;
const mebibytes = (...sizes: number[]) => sizes.map((bytes) => `${bytes / 2 ** 20} MiB`).join("; ");
const seconds = (ms: number) => `${ms / 1000} s`;

/** The numbers that the pattern finds in a file of the project, such as `4 * 1024` or `20_000`. */
function written(file: string, pattern: RegExp): number[] {
  const [, ...found] = pattern.exec(readFileSync(file, "utf8")) ?? [];
  if (found.length === 0) throw new Error(`${file} has nothing like ${pattern}`);
  return found.map((text) =>
    text
      .replaceAll("_", "")
      .split("*")
      .reduce((product, factor) => product * Number(factor), 1),
  );
}

/** A constant that no other file uses. */
const constant = (file: string, name: string) => written(file, new RegExp(`const ${name} = ([\\d_ *]+);`))[0] as number;

/** A constant of src/auth/key-set.ts. */
const ofKeySet = (name: string) => constant("src/auth/key-set.ts", name);

/** A constant of src/transport/console/oidc.ts. */
const ofOidc = (name: string) => constant("src/transport/console/oidc.ts", name);

/** The greatest number, length or count that the contract allows in a field. */
function most(message: DescMessage, name: string): number {
  const { type } = getOption(message.field[name] as DescField, fieldRules);
  if (type.case === "repeated") return Number(type.value.maxItems);
  if (type.case === "string") return Number(type.value.maxLen);
  if (type.case === "uint32" && type.value.lessThan.case === "lte") return type.value.lessThan.value;
  throw new Error(`${message.typeName}.${name} has no limit`);
}

/** The number of characters that the pattern of a rule in the contract allows. */
const [idLength] = written("proto/userlock/v3alpha/options.proto", /-\]\{1,(\d+)\}/) as [number];
const [nameLength] = written("proto/userlock/v3alpha/options.proto", /"!rule \|\| \(size\(this\) <= (\d+)/) as [number];
const [secretLength] = written(
  "proto/userlock/v3alpha/options.proto",
  /size\(this\) >= 1 && size\(this\) <= (\d+)/,
) as [number];
const [reasonLength] = written("proto/userlock/v3alpha/options.proto", /bool lock_reason [^;]*-\]\{1,(\d+)\}/) as [
  number,
];
const [lockYears] = written("src/domain/user.ts", /MAX_LOCK = (\d+) \* 366 \* 24/) as [number];
const [keyLength] = written("src/rpc/idempotency.ts", /must be 1 to (\d+) printable/) as [number];
const [receiptHours] = written("src/app/receipts.ts", /LIFETIME = (\d+) \* 3_600/) as [number];

const { lockUser, batchLockUsers } = UserService.method;
const { watchersPerCaller, openStreamsPerAddress } = LIMITS;

const EXPECTED: Record<string, [what: string, limit: string][]> = {
  "Limits of requests": [
    ["message, compressed or not", kibibytes(maxBytesOf(lockUser))],
    ["message to BatchLockUsers or BatchUnlockUsers", mebibytes(maxBytesOf(batchLockUsers))],
    ["compressed JSON to these two methods, once decompressed", mebibytes(maxJsonBytesOf(batchLockUsers))],
    ["ids in a batch", counts(most(BatchLockUsersRequestSchema, "ids"))],
    ["users on a page of a batch by filters", counts(most(BatchLockUsersRequestSchema, "limit"))],
    [
      "errors in the answer to a batch that keep all their details",
      counts(constant("src/rpc/services/batch.ts", "MAX_DETAILED_ERRORS")),
    ],
    ["values in all lists of a request together", counts(MAX_ITEMS)],
    ["values of a request in all, nested ones included", counts(MAX_VALUES)],
    ["headers of a request", kibibytes(LIMITS.headerBytes)],
    ["log-in to the console", kibibytes(constant("src/transport/console/session.ts", "MAX_LOGIN_BYTES"))],
    [
      "cookie of the console's session, with the token in it",
      `${counts(constant("src/transport/console/cookie.ts", "MAX_COOKIE_BYTES"))} bytes`,
    ],
    ["session of the console", `${MAX_SESSION_MS / 3_600_000} hours`],
    ["link of `userlock console`", `${constant("src/admin.ts", "CODE_LIFETIME") / 1_000_000} s`],
    ["`Idempotency-Key`", `${keyLength} characters`],
    ["how long the answer to a keyed call is kept", `${receiptHours} hours`],
    ["field violations in an error", kibibytes(constant("src/rpc/errors.ts", "MAX_VIOLATION_BYTES"))],
  ],
  "Limits of users and locks": [
    ["id", `${idLength} characters of \`A-Z a-z 0-9 . _ ~ @ : -\``],
    ["user name", `${nameLength} characters`],
    ["user names of one user", counts(MAX_USERNAMES)],
    ["password", `${counts(secretLength)} characters`],
    ["nesting of a user's data", `${constant("src/rpc/services/users.ts", "MAX_DATA_DEPTH")} levels`],
    ["reason of a lock", `${reasonLength} characters of \`A-Z a-z 0-9 . _ : -\``],
    ["note of a lock", `${most(BatchLockUsersRequestSchema, "note")} characters`],
    ["end of a lock", `${lockYears} years from now`],
    ["known devices of one user", counts(constant("src/domain/lockout.ts", "MAX_DEVICES"))],
    ["grants of a token", counts(most(CreateTokenRequestSchema, "grants"))],
  ],
  "Limits of searches and pages": [
    ["results on a page of users, sessions or tokens", counts(most(SearchQuerySchema, "limit"))],
    ["events on a page", counts(most(ListEventsRequestSchema, "limit"))],
    ["text on a page with more than one entry", `${counts(MAX_PAGE_LENGTH)} characters`],
    ["filters of a search", counts(constant("src/rpc/check-request.ts", "MAX_FILTERS"))],
    ["nesting of filters", `${constant("src/rpc/check-request.ts", "MAX_FILTER_DEPTH")} levels`],
    ["user ids in a filter of events", counts(most(ListEventsRequestSchema, "userIds"))],
    ["types in a filter of events", counts(most(ListEventsRequestSchema, "types"))],
    [
      "running searches: in all, of one caller",
      counts(...written("src/app/search.ts", /SEARCHES = .*atOnce: (\d+), atOnceEach: (\d+)/)),
    ],
    [
      "waiting searches: in all, of one caller",
      counts(...written("src/app/search.ts", /SEARCHES = .*waiting: ([\d_]+), waitingEach: (\d+)/)),
    ],
    [
      "running reads of a page of events: in all, of one caller",
      counts(...written("src/app/follow/events.ts", /PAGES = .*atOnce: (\d+), atOnceEach: (\d+)/)),
    ],
    [
      "waiting reads of a page of events: in all, of one caller",
      counts(...written("src/app/follow/events.ts", /PAGES = .*waiting: ([\d_]+), waitingEach: (\d+)/)),
    ],
  ],
  "Limits of connections and time": [
    ["connections", counts(LIMITS.connections)],
    ["connections from one address (`USERLOCK_CONNECTIONS_PER_ADDRESS`)", counts(LIMITS.connectionsPerAddress)],
    ["open streams on an HTTP/2 connection", counts(LIMITS.streams)],
    ["first bytes of a connection; TLS handshake", seconds(LIMITS.handshakeMs)],
    ["headers of an HTTP/1.1 request", seconds(LIMITS.headersMs)],
    ["whole HTTP/1.1 request", seconds(LIMITS.requestMs)],
    ["body of a request", seconds(LIMITS.bodyMs)],
    ["call", seconds(LIMITS.callMs)],
    ["check at `/authz`", `${LIMITS.authzMs / 1_000} s`],
    ["answer, or end of a stream, that the client does not read", seconds(LIMITS.streamEndMs)],
    ["idle HTTP/1.1 connection", seconds(LIMITS.keepAliveMs)],
    ["HTTP/2 connection without an open stream", seconds(LIMITS.sessionIdleMs)],
    [
      "age of a connection (`USERLOCK_CONNECTION_AGE`), give or take 10 % at random",
      `${counts(LIMITS.connectionAgeMs / 1_000)} s`,
    ],
    ["calls in flight when the server stops", seconds(LIMITS.drainMs)],
  ],
  "Limits of shared load": [
    ["unfinished requests with a token: in all, of one caller", mebibytes(LIMITS.bodyBytes, LIMITS.bodyBytesPerCaller)],
    [
      "unfinished requests without a token: in all, from one address",
      mebibytes(LIMITS.openBodyBytes, LIMITS.openBodyBytesPerAddress),
    ],
    [
      "large messages that wait to be decoded: in all, of one caller",
      counts(...written("src/rpc/shares.ts", /decoding: .*waiting: (\d+), waitingEach: (\d+)/)),
    ],
    ["changes that wait for the disk", counts(MAX_WAITING)],
    ["look-ups of a kind that wait for the store, such as those of tokens", counts(MAX_LOOKUPS)],
    [
      "passwords that wait to be hashed: in all, of one caller",
      counts(...["MAX_WAITING", "MAX_WAITING_EACH"].map((name) => constant("src/app/hash-queue.ts", name))),
    ],
    [
      "logins that wait for a login of the same user: in all, of one user",
      counts(...["MAX_WAITING", "MAX_WAITING_EACH"].map((name) => constant("src/app/login.ts", name))),
    ],
    [
      "key set of a JWT issuer: size, keys, time to fetch it",
      [mebibytes(ofKeySet("MAX_BYTES")), counts(ofKeySet("MAX_KEYS")), seconds(ofKeySet("TIMEOUT_MS"))].join("; "),
    ],
    [
      "log-ins to the console that wait for the issuer's answer; the time to answer",
      `${ofOidc("AT_ONCE")}; ${ofOidc("TIMEOUT_S")} s`,
    ],
  ],
  "Limits of streams": [
    ["open streams of events and locks: in all, of one caller", counts(LIMITS.watchers, watchersPerCaller)],
    ["unread data of a stream of events or locks", mebibytes(LIMITS.watcherBytes)],
    ["time in which the client of a full stream reads nothing", seconds(LIMITS.watcherStallMs)],
    ["unread data of all streams of events and locks", mebibytes(LIMITS.watchersBytes)],
    ["time between heartbeats on a stream of events or locks", seconds(LIMITS.heartbeatMs)],
    ["users in a part of a snapshot of locks", String(PAGE)],
    ["parts of snapshots that are read at once: in all, of one caller", counts(MAX_READS, MAX_READS / 2)],
    [
      "open streams of health and reflection: in all, from one address",
      counts(LIMITS.openStreams, openStreamsPerAddress),
    ],
    ["time without a question on a stream of reflection", seconds(LIMITS.reflectionIdleMs)],
  ],
};

test.each(Object.keys(EXPECTED))("the table of limits below %j is that of the code", (heading) => {
  expect(
    rows(heading)
      .slice(1)
      .map(([what, limit]) => [what, limit]),
  ).toEqual(EXPECTED[heading]);
});

test("the limits name only codes and reasons that callers can get", () => {
  const named = Object.keys(EXPECTED)
    .flatMap(rows)
    .map(([, , beyond]) => beyond?.split(", ") ?? [])
    .filter(([code]) => /^[A-Z_]+_[A-Z]+$|^UNAVAILABLE$/.test(code ?? ""));
  expect(named.length).toBeGreaterThan(30);
  for (const [code, reason] of named) {
    if (reason !== undefined) expect(Object.entries(REASONS)).toContainEqual([reason, code?.toLowerCase()]);
    else expect(Object.values(REASONS)).toContain(code?.toLowerCase());
  }
});

test("every limit in LIMITS is read by a row", () => {
  const source = readFileSync("test/unit/house/docs-limits.test.ts", "utf8");
  expect(Object.keys(LIMITS).filter((name) => !new RegExp(`\\b${name}\\b`).test(source))).toEqual([]);
});
