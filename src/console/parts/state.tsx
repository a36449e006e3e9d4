import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type GetUser, type Lock, LockCause, State } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { texts } from "../i18n/messages.ts";
import { now, When } from "./time.tsx";

const KEYS: Partial<Record<State, "active" | "inactive" | "locked" | "deleted">> = {
  [State.USER_STATE_ACTIVE]: "active",
  [State.USER_STATE_INACTIVE]: "inactive",
  [State.USER_STATE_LOCKED]: "locked",
  [State.USER_STATE_DELETED]: "deleted",
};

export function StateBadge({ state }: { state: State }) {
  const key = KEYS[state] ?? "unknown";
  return <span class={`badge ${key}`}>{texts.value.state[key]}</span>;
}

/** Both axes of a user: an inactive user may be locked, too. */
export function StateBadges({ user }: { user: GetUser }) {
  const isBoth = user.lock !== undefined && user.lifecycle === State.USER_STATE_INACTIVE;
  return (
    <>
      <StateBadge state={user.state} />
      {isBoth && <StateBadge state={user.lifecycle} />}
    </>
  );
}

export function causeOf({ cause }: Lock): string {
  const { cause: names } = texts.value;
  if (cause === LockCause.MANUAL) return names.manual;
  return cause === LockCause.PASSWORD_FAILURES ? names.passwords : names.unknown;
}

/** The cause, reason and end of a lock, in one line. `isEnded`: it ended before, so that its end means nothing. */
export function LockLine({ lock, isEnded = false }: { lock: Lock | undefined; isEnded?: boolean }) {
  if (!lock) return <>–</>;
  return (
    <>
      {causeOf(lock)}
      {lock.reason !== "" && lock.cause === LockCause.MANUAL && <code class="reason">{lock.reason}</code>}{" "}
      {!isEnded && (
        <small>
          {lock.until ? (
            <>
              {timestampMs(lock.until) > now.value ? texts.value.common.ends : texts.value.common.ended}{" "}
              <When at={lock.until} />
            </>
          ) : (
            texts.value.common.never
          )}
        </small>
      )}
    </>
  );
}
