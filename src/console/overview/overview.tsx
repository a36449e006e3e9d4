import { users } from "../core/api.ts";
import { can } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";
import { Failure } from "../parts/failure.tsx";
import { EndingLocks } from "./ending-locks.tsx";
import { Failures } from "./failures.tsx";
import { FirstUser } from "./first-user.tsx";
import { LastLocks } from "./last-locks.tsx";
import { useLoaded } from "./loaded.ts";
import { LockedNow } from "./locked-now.tsx";
import { ServerCard } from "./server-card.tsx";

/** What is going on, for someone who comes in: who is locked, what happens, and whether the server is well. */
export function OverviewPage() {
  const { overview: t } = texts.value;
  return (
    <>
      <div class="title">
        <h1>{t.title}</h1>
      </div>
      {can("user.read") && <Users />}
      <div class="cards">
        {can("event.read") && <LastLocks />}
        {can("event.read") && <Failures />}
        {can("user.read") && <EndingLocks />}
        <ServerCard />
      </div>
    </>
  );
}

const CHANGES = ["user.created", "user.deleted", "user.locked", "user.unlocked", "user.activated", "user.deactivated"];

/** The numbers of users, or how to create the first one. */
function Users() {
  // Counting reads all users.
  const counts = useLoaded((signal) => users.countUsers({}, { signal }), { types: CHANGES, paceMs: 2_000 });
  if (counts.failure.value !== undefined) return <Failure error={counts.failure.value} onRetry={counts.reload} />;
  if (!counts.value.value) return <p role="status">{texts.value.common.loading}</p>;
  return counts.value.value.total === 0n ? <FirstUser /> : <LockedNow counts={counts.value.value} />;
}
