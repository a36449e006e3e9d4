import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { useEffect } from "preact/hooks";
import { type GetUser, type Lock, LockCause, State } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import type { Action } from "../act/perform.ts";
import { isTyping } from "../core/keys.ts";
import { pathTo } from "../core/router.ts";
import { can } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";
import { causeOf } from "../parts/state.tsx";
import { SubjectLink } from "../parts/subject-link.tsx";
import { Moment, now, When } from "../parts/time.tsx";
import { Fact } from "./head.tsx";

const DAY_S = 86_400;
/** How often a lock that should have ended is looked at again. */
const AGAIN_S = 5;

/** Whether the user can log in, why not, until when, and what can be done. Keys: l locks, u unlocks. */
export function LockCard({ user, onAct, onEnd }: { user: GetUser; onAct(action: Action): void; onEnd(): void }) {
  const { user: t, users: names } = texts.value;
  const { lock } = user;
  const isInactive = user.lifecycle === State.USER_STATE_INACTIVE;
  const isByPasswords = lock?.cause === LockCause.PASSWORD_FAILURES;

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || !can("user.write")) return;
      if (event.key !== (lock ? "u" : "l")) return;
      event.preventDefault();
      onAct(lock ? "unlock" : "lock");
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });

  return (
    <section class={`card ${lock ? "locked" : ""}`} aria-labelledby="lock-title">
      <h2 id="lock-title">{t.lock}</h2>
      <p role="status">{t.effects[effectOf(lock, isInactive)]}</p>
      {lock && (
        <dl class="properties">
          <Fact name={t.until}>
            {lock.until ? <End until={lock.until} onEnd={onEnd} /> : <strong>{t.untilUnlocked}</strong>}
          </Fact>
          <Fact name={t.cause}>{causeOf(lock)}</Fact>
          <Fact name={t.reason}>
            <a
              href={`${pathTo("users")}?${new URLSearchParams({ reason: lock.reason })}`}
              title={t.sameReason(lock.reason)}
            >
              {lock.reason}
            </a>
          </Fact>
          {lock.note !== "" && <Fact name={t.note}>{lock.note}</Fact>}
          <Fact name={t.by}>
            <SubjectLink subject={lock.lockedBy} />
          </Fact>
          <Fact name={t.since}>
            <Moment at={lock.since} />{" "}
            <small>
              <When at={lock.since} />
            </small>
          </Fact>
        </dl>
      )}
      {can("user.write") && (
        <footer>
          {lock ? (
            <button type="button" class="primary" aria-keyshortcuts="u" onClick={() => onAct("unlock")}>
              {names.unlock}
            </button>
          ) : (
            <button type="button" class="danger" aria-keyshortcuts="l" onClick={() => onAct("lock")}>
              {names.lock}
            </button>
          )}
          {lock && !isByPasswords && (
            <button type="button" onClick={() => onAct("relock")}>
              {names.relock}
            </button>
          )}
          {isByPasswords && (
            <button type="button" onClick={() => onAct("lock")}>
              {t.lockByHand}
            </button>
          )}
          <button type="button" onClick={() => onAct(isInactive ? "activate" : "deactivate")}>
            {isInactive ? names.activate : names.deactivate}
          </button>
        </footer>
      )}
    </section>
  );
}

function effectOf(lock: Lock | undefined, isInactive: boolean) {
  if (isInactive) return lock ? "both" : "inactive";
  if (!lock) return "open";
  return lock.cause === LockCause.PASSWORD_FAILURES ? "passwords" : "manual";
}

/** The end of a lock, with a countdown. */
function End({ until, onEnd }: { until: Timestamp; onEnd(): void }) {
  const { user: t } = texts.value;
  const left = Math.ceil((timestampMs(until) - now.value) / 1_000);
  const isOver = left <= 0;
  // The event of the end comes up to a second later, or not without event.read. And the server's clock may be behind.
  const overdue = isOver ? Math.floor(-left / AGAIN_S) : undefined;
  useEffect(() => {
    if (overdue !== undefined) onEnd();
  }, [overdue]);
  return (
    <>
      <Moment at={until} />{" "}
      <strong role="timer">{isOver ? t.isOver : t.left(Math.floor(left / DAY_S), clock(left))}</strong>
    </>
  );
}

/** Hours, minutes and seconds of the last day: "1:59:12". */
function clock(seconds: number): string {
  const two = (value: number) => String(Math.floor(value) % 60).padStart(2, "0");
  return `${Math.floor((seconds % DAY_S) / 3_600)}:${two(seconds / 60)}:${two(seconds)}`;
}
