import { timestampMs } from "@bufbuild/protobuf/wkt";
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { Session } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { reasonOf, sessions as sessionService } from "../core/api.ts";
import { can } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";
import { Failure } from "../parts/failure.tsx";
import { now, When } from "../parts/time.tsx";
import type { ShownUser } from "./shown-user.ts";

/** The open sessions, newest first. */
export function Sessions({ shown, onEndAll }: { shown: ShownUser; onEndAll(): void }) {
  const { user: t } = texts.value;
  const failure = useSignal<unknown>(undefined);
  const list = shown.sessions.value;
  if (!list) return null;
  // No event tells that a session expired.
  const open = list.newest.filter(({ expires }) => !expires || timestampMs(expires) > now.value);
  const more = list.total - list.newest.length;
  return (
    <section class="card" aria-labelledby="sessions-title">
      <h2 id="sessions-title">
        {t.sessions} <small>{open.length + more}</small>
      </h2>
      {failure.value !== undefined && <Failure error={failure.value} />}
      {open.length === 0 ? (
        <p>{t.noSessions}</p>
      ) : (
        <div class="table">
          <table>
            <caption class="hidden">{t.sessions}</caption>
            <thead>
              <tr>
                <th scope="col">{t.opened}</th>
                <th scope="col">{t.address}</th>
                <th scope="col">{t.agent}</th>
                <th scope="col">{t.expires}</th>
                {can("session.write") && (
                  <th scope="col">
                    <span class="hidden">{t.actions}</span>
                  </th>
                )}
              </tr>
            </thead>
            <tbody>
              {open.map((session) => (
                <Row
                  key={session.details?.id}
                  session={session}
                  onChange={shown.refresh}
                  onFailure={(error) => (failure.value = error)}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <footer>
        {can("session.write") && (
          <button type="button" onClick={onEndAll}>
            {t.endAll}
          </button>
        )}
        {more > 0 && (
          <button type="button" class="quiet" onClick={shown.loadMoreSessions}>
            {t.moreSessions(more)}
          </button>
        )}
      </footer>
    </section>
  );
}

function Row(props: { session: Session; onChange(): void; onFailure(error: unknown): void }) {
  const { session, onChange, onFailure } = props;
  const { user: t } = texts.value;
  const id = session.details?.id ?? "";
  const isRunning = useSignal(false);
  const key = useRef(crypto.randomUUID());

  async function end(): Promise<void> {
    isRunning.value = true;
    onFailure(undefined);
    try {
      await sessionService.deleteSession({ sessionId: id }, { headers: { "idempotency-key": key.current } });
    } catch (error) {
      // It has ended meanwhile.
      if (reasonOf(error) !== "SESSION_NOT_FOUND") onFailure(error);
    }
    isRunning.value = false;
    onChange();
  }

  return (
    <tr>
      <td data-label={t.opened}>
        <When at={session.details?.created} />
      </td>
      <td data-label={t.address}>{session.address || "–"}</td>
      <td class="agent" data-label={t.agent}>
        <small>{session.userAgent || "–"}</small>
      </td>
      <td data-label={t.expires}>
        <When at={session.expires} />
      </td>
      {can("session.write") && (
        <td class="actions">
          <button type="button" aria-label={t.endOne(id)} disabled={isRunning.value} onClick={() => void end()}>
            {t.end}
          </button>
        </td>
      )}
    </tr>
  );
}
