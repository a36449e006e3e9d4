import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Lock } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { users } from "../core/api.ts";
import { texts } from "../i18n/messages.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Failure } from "../parts/failure.tsx";
import { LockFields, type LockInput, toDetails, toInput } from "./lock-fields.tsx";
import { type Action, type Details, type Filter, type Outcome, perform, sizeOf, type Target } from "./perform.ts";

const LOCKED: Filter = { filter: { case: "lockFilter", value: { locked: true } } };
/** How many users a list names. */
const SHOWN = 8;

/** Asks for what an action needs, shows whom it will change, does it, and shows what failed. */
export function ActDialog(props: {
  action: Action;
  target: Target;
  name?: string | undefined;
  /** The lock that is replaced. */
  lock?: Lock | undefined;
  onClose(): void;
}) {
  const { action, onClose } = props;
  const isLock = action === "lock" || action === "relock";
  const { act, common } = texts.value;
  const target = useSignal(props.target);
  const key = useSignal(crypto.randomUUID());
  const input = useSignal<LockInput>(toInput(action === "relock" ? props.lock : undefined));
  const preview = useSignal<Outcome | undefined>(undefined);
  const outcome = useSignal<Outcome | undefined>(undefined);
  const failure = useSignal<unknown>(undefined);
  const state = useSignal<"asking" | "running" | "done">("asking");
  const stop = useRef(new AbortController());
  useEffect(() => () => stop.current.abort(), []);
  const reasons = useSignal<readonly string[]>([]);
  useEffect(() => {
    if (!isLock) return;
    // Only suggestions, so the dialog does without them.
    users.countUsers({ filters: [LOCKED] }).then(
      ({ lockReasons }) => {
        reasons.value = lockReasons.map(({ reason }) => reason);
      },
      () => {},
    );
  }, []);

  useEffect(() => {
    const aborting = new AbortController();
    preview.value = undefined;
    const details: Details = { reason: "", note: "" };
    perform(action, target.value, details, { key: "", isDryRun: true, signal: aborting.signal }).then(
      (found) => {
        if (!aborting.signal.aborted) preview.value = found;
      },
      (error) => {
        if (!aborting.signal.aborted) failure.value = error;
      },
    );
    return () => aborting.abort();
  }, [target.value]);

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    state.value = "running";
    failure.value = undefined;
    stop.current = new AbortController();
    try {
      outcome.value = await perform(action, target.value, toDetails(input.value), {
        key: key.value,
        signal: stop.current.signal,
        onProgress: (done) => {
          outcome.value = { ...done };
        },
      });
      state.value = "done";
      // Nothing is left to say.
      if (outcome.value.refused.length === 0 && sizeOf(target.value) === 1) onClose();
    } catch (error) {
      failure.value = error;
      // The same key, because the server may have done it although the answer was lost.
      state.value = "asking";
    }
  }

  function again(): void {
    target.value = { ids: outcome.value?.refused.map(({ id }) => id) ?? [] };
    key.value = crypto.randomUUID();
    outcome.value = undefined;
    state.value = "asking";
  }

  const total = sizeOf(target.value);
  const only = "ids" in target.value && total === 1 ? target.value.ids[0] : undefined;
  const who = (only !== undefined ? (props.name ?? only) : undefined) ?? act.users(total);
  const done = outcome.value;
  return (
    <Dialog title={act.titles[action](who)} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <p>{act.effects[action]}</p>
        {isLock && state.value !== "done" && (
          <LockFields
            value={input.value}
            reasons={reasons.value}
            onChange={(next) => (input.value = next)}
            isDisabled={state.value === "running"}
          />
        )}
        {state.value === "asking" && <Preview outcome={preview.value} isFailed={failure.value !== undefined} />}
        {failure.value !== undefined && <Failure error={failure.value} />}
        {state.value === "running" && (
          <p role="status">
            <progress max={total} value={(done?.changed.length ?? 0) + (done?.refused.length ?? 0)} />{" "}
            {act.progress((done?.changed.length ?? 0) + (done?.refused.length ?? 0), total)}
          </p>
        )}
        {state.value === "done" && done && (
          <div role="status">
            <p>{stop.current.signal.aborted ? act.stopped : act.done(done.changed.length)}</p>
            {done.refused.length > 0 && <RefusedList title={act.failed(done.refused.length)} outcome={done} />}
          </div>
        )}
        <footer>
          {state.value === "done" ? (
            <>
              {done && done.refused.length > 0 && (
                <button type="button" onClick={again}>
                  {act.again}
                </button>
              )}
              <button type="button" class="primary" onClick={onClose}>
                {common.close}
              </button>
            </>
          ) : (
            <>
              {state.value === "running" ? (
                <button type="button" onClick={() => stop.current.abort()}>
                  {act.stop}
                </button>
              ) : (
                <button type="button" onClick={onClose}>
                  {common.cancel}
                </button>
              )}
              <button
                type="submit"
                data-first={!isLock || undefined}
                class={isLock ? "danger" : "primary"}
                disabled={state.value === "running"}
              >
                {act.submit[action]}
              </button>
            </>
          )}
        </footer>
      </form>
    </Dialog>
  );
}

function Preview({ outcome, isFailed }: { outcome: Outcome | undefined; isFailed: boolean }) {
  const { act } = texts.value;
  if (!outcome) return isFailed ? null : <p role="status">{act.previewing}</p>;
  const { changed, refused } = outcome;
  return (
    <section aria-label={act.preview} class="preview">
      <p>{act.would(changed.length)}</p>
      {changed.length > 1 && (
        <p class="names">
          {changed.slice(0, SHOWN).map((id) => (
            <code key={id}>{id}</code>
          ))}{" "}
          {changed.length > SHOWN && act.more(changed.length - SHOWN)}
        </p>
      )}
      {refused.length > 0 && <RefusedList title={act.wouldNot(refused.length)} outcome={outcome} />}
    </section>
  );
}

function RefusedList({ title, outcome: { refused } }: { title: string; outcome: Outcome }) {
  return (
    <>
      <p>{title}</p>
      <ul class="refused">
        {refused.slice(0, SHOWN).map(({ id, reason, sentence }) => (
          <li key={id}>
            <code>{id}</code> {sentence} <small>{reason}</small>
          </li>
        ))}
        {refused.length > SHOWN && <li>{texts.value.act.more(refused.length - SHOWN)}</li>}
      </ul>
    </>
  );
}
