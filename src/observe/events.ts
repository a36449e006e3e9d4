import type { Meters } from "./meters.ts";
import type { Observers } from "./observers.ts";

/** Metrics of locks, logins and sessions: by the events that this server appends, and by the outcomes of logins. */
export function observeEvents(meters: Meters): Required<Pick<Observers, "onAppend" | "onLogin" | "receipts">> {
  const locks = meters.counter({
    name: "userlock_locks_total",
    help: "locks of users, by an operator (manual) or by wrong passwords",
    labels: ["cause"],
    series: [["manual"], ["password_failures"]],
  });
  const unlocks = meters.counter({
    name: "userlock_unlocks_total",
    help: "ends of locks, by an operator (manual) or by time",
    labels: ["cause"],
    series: [["manual"], ["expired"]],
  });
  const logins = meters.counter({
    name: "userlock_logins_total",
    help: "logins, and proofs of an old password; callers never see the outcome",
    labels: ["outcome"],
    series: [["ok"], ["wrong_password"], ["locked"], ["inactive"], ["unknown_user"], ["busy"]],
  });
  const probes = meters
    .counter({
      name: "userlock_lock_probes_total",
      help: "passwords of locked users that were compared all the same, by the policy's `revealLock`",
    })
    .labels();
  const opened = meters.counter({ name: "userlock_sessions_opened_total", help: "opened sessions" }).labels();
  const ended = meters.counter({
    name: "userlock_sessions_ended_total",
    help: "ends of one session, or of all sessions of a user; ends by a lock or by time are not among them",
    labels: ["extent"],
    series: [["one"], ["all"]],
  });
  const conflicts = meters
    .counter({
      name: "userlock_store_conflicts_total",
      help: "appends that another change came before; each was decided again",
    })
    .labels();
  const receipts = meters.counter({
    name: "userlock_receipts_total",
    help: "calls with an `Idempotency-Key`: first ones, repeated ones, and other requests with a used key",
    labels: ["outcome"],
    series: [["first"], ["repeated"], ["reused"]],
  });

  return {
    onAppend({ events }, outcome) {
      if (outcome === "conflict") conflicts.inc();
      if (outcome !== "appended") return;
      for (const event of events) {
        switch (event.type) {
          case "user.locked":
            locks.labels(causeOf(event)).inc();
            break;
          case "user.unlocked":
            unlocks.labels(causeOf(event)).inc();
            break;
          case "user.lock_probed":
            probes.inc();
            break;
          case "session.opened":
            opened.inc();
            break;
          case "session.ended":
            ended.labels("one").inc();
            break;
          case "user.sessions_ended":
            ended.labels("all").inc();
            break;
        }
      }
    },
    onLogin: (outcome) => logins.labels(outcome).inc(),
    receipts: (receiptsOf) => (call) => {
      const own = receiptsOf(call);
      let isCounted = false;
      const count = (outcome: string) => {
        if (!isCounted) receipts.labels(outcome).inc();
        isCounted = true;
      };
      return {
        ...own,
        async find() {
          try {
            const found = await own.find();
            count(found ? "repeated" : "first");
            return found;
          } catch (error) {
            if ((error as { reason?: string }).reason === "IDEMPOTENCY_KEY_REUSED") count("reused");
            throw error;
          }
        },
      };
    },
  };
}

function causeOf({ data }: { data: unknown }): string {
  return (data as { cause: string }).cause;
}
