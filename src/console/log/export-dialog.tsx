import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { events as eventService, isLoggedOut } from "../core/api.ts";
import { formatNumber, texts } from "../i18n/messages.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Failure } from "../parts/failure.tsx";
import { beginFile, type Growing, grow, MOST_EVENTS } from "./export.ts";
import { FORMATS, type FormatName } from "./files.ts";
import { type Question, requestOf } from "./question.ts";

const NAMES = Object.keys(FORMATS) as FormatName[];

/** Saves the events that match as a file, page by page. */
export function ExportDialog({ question, onClose }: { question: Question; onClose(): void }) {
  const { common, log } = texts.value;
  const { export: t } = log;
  const format = useSignal<FormatName>("csv");
  const file = useSignal<Growing | undefined>(undefined);
  const state = useSignal<"asking" | "running" | "paused" | "saved">("asking");
  const failure = useSignal<unknown>(undefined);
  const stop = useRef(new AbortController());
  // One moment for all pages.
  const request = useRef(requestOf(question, Date.now()));
  useEffect(() => () => stop.current.abort(), []);

  /** Goes on with a file, or begins one. */
  async function run(from: Growing): Promise<void> {
    file.value = from;
    state.value = "running";
    failure.value = undefined;
    stop.current = new AbortController();
    const { signal } = stop.current;
    try {
      const options = { format: FORMATS[format.value], request: request.current, signal };
      const list: Parameters<typeof grow>[1]["list"] = (page, call) => eventService.listEvents(page, call);
      for await (const grown of grow(from, { ...options, list })) file.value = grown;
      save();
    } catch (error) {
      state.value = "paused";
      if (!signal.aborted && !isLoggedOut(error)) failure.value = error;
    }
  }

  function save(): void {
    if (file.value) download(file.value, format.value);
    state.value = "saved";
  }

  const done = file.value;
  const begin = (next?: string) => void run(beginFile(FORMATS[format.value], next));
  return (
    <Dialog title={t.title} onClose={onClose}>
      <p>{t.what}</p>
      {state.value === "asking" && (
        <fieldset class="formats">
          <legend>{t.format}</legend>
          {NAMES.map((name) => (
            <label key={name}>
              <input
                type="radio"
                name="format"
                checked={format.value === name}
                onChange={() => (format.value = name)}
                {...(name === "csv" && { "data-first": true })}
              />
              <span>
                {t.formats[name]} <small>{t.hints[name]}</small>
              </span>
            </label>
          ))}
        </fieldset>
      )}
      {state.value === "running" && done && (
        <p>
          <progress max={MOST_EVENTS} value={done.count} aria-label={t.title} />
        </p>
      )}
      <div role="status">
        {done && <p>{t[state.value === "asking" ? "running" : state.value](formatNumber(done.count))}</p>}
        {state.value === "saved" && done && !done.isComplete && <p>{t.more(formatNumber(done.count))}</p>}
      </div>
      {failure.value !== undefined && <Failure error={failure.value} />}
      <footer>
        {state.value === "running" && (
          <button type="button" onClick={() => stop.current.abort()}>
            {t.stop}
          </button>
        )}
        {state.value === "paused" && done && (
          <>
            {done.count > 0 && (
              <button type="button" onClick={save}>
                {t.save}
              </button>
            )}
            <button type="button" class="primary" onClick={() => void run(done)}>
              {t.goOn}
            </button>
          </>
        )}
        {state.value === "saved" && done && !done.isComplete && (
          <button type="button" onClick={() => begin(done.next)}>
            {t.rest}
          </button>
        )}
        {state.value === "saved" ? (
          <button type="button" class="primary" onClick={onClose}>
            {common.close}
          </button>
        ) : (
          <button type="button" onClick={onClose}>
            {common.cancel}
          </button>
        )}
        {state.value === "asking" && (
          <button type="button" class="primary" onClick={() => begin()}>
            {t.begin}
          </button>
        )}
      </footer>
    </Dialog>
  );
}

/** Gives the browser a file to save. */
function download({ parts }: Growing, name: FormatName): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([...parts], { type: FORMATS[name].mediaType }));
  link.download = `userlock-events-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}Z.${name}`;
  link.click();
  // Firefox reads it after this task.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
