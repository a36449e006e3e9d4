import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { texts } from "../i18n/messages.ts";

/** A modal dialog. The element with `data-first` gets the focus. The browser gives it back when the dialog closes. */
export function Dialog(props: { title: string; onClose(): void; children: ComponentChildren }) {
  const id = useId();
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const { current } = element;
    if (current && !current.open) current.showModal();
    // Chromium reports a second autofocus of a document in its console.
    current?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => current?.close();
  }, []);
  return (
    <dialog ref={element} aria-labelledby={id} onClose={props.onClose}>
      <header>
        <h2 id={id}>{props.title}</h2>
        <button type="button" class="quiet" aria-label={texts.value.common.close} onClick={props.onClose}>
          ✕
        </button>
      </header>
      {props.children}
    </dialog>
  );
}
