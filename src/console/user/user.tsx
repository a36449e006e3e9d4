import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { ActDialog } from "../act/dialog.tsx";
import type { Action } from "../act/perform.ts";
import { address, pathTo } from "../core/router.ts";
import { can } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";
import { Failure } from "../parts/failure.tsx";
import { UserData } from "./data.tsx";
import { DeleteUser } from "./delete.tsx";
import { UserHead } from "./head.tsx";
import { LockCard } from "./lock-card.tsx";
import { Password } from "./password.tsx";
import { Sessions } from "./sessions.tsx";
import { showUser } from "./shown-user.ts";
import { Timeline } from "./timeline.tsx";
import { Usernames } from "./usernames.tsx";

/** The page of one user: see both axes, act, and see what happened. */
export function UserPage({ id }: { id: string }) {
  const { user: t, common } = texts.value;
  const shown = useMemo(() => showUser(id), [id]);
  const acting = useSignal<Action | undefined>(undefined);
  const act = (action: Action) => (acting.value = action);

  useEffect(() => {
    void shown.load();
    return shown.follow();
  }, [shown]);

  const user = shown.user.value;
  const failure = shown.failure.value;
  const type = address.value.searchParams.get("type") ?? "";
  const timeline = can("event.read") && <Timeline key={type} userId={id} type={type} />;
  return (
    <>
      <p class="back">
        <a href={pathTo("users")}>{t.back}</a>
      </p>
      {failure !== undefined && <Failure error={failure} onRetry={() => void shown.load()} />}
      {shown.isMissing.value && (
        <>
          <h1>{t.missing}</h1>
          <p role="status">{t.missingHint(id)}</p>
          {timeline}
        </>
      )}
      {user && (
        <>
          <UserHead user={user} />
          <div class="user">
            <LockCard user={user} onAct={act} onEnd={shown.refresh} />
            <Sessions shown={shown} onEndAll={() => act("endSessions")} />
            {timeline}
            <Usernames user={user} onChange={shown.refresh} />
            <Password user={user} onChange={shown.refresh} />
            <UserData user={user} onChange={shown.refresh} />
            {can("user.delete") && <DeleteUser id={id} onChange={shown.refresh} />}
          </div>
        </>
      )}
      {!user && !shown.isMissing.value && (
        <>
          <h1>{id}</h1>
          {failure === undefined && <p role="status">{common.loading}</p>}
        </>
      )}
      {acting.value && (
        <ActDialog
          action={acting.value}
          target={{ ids: [id] }}
          lock={user?.lock}
          onClose={() => {
            acting.value = undefined;
            shown.refresh();
          }}
        />
      )}
    </>
  );
}
