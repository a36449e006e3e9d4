import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { texts } from "../i18n/messages.ts";
import { Dialog } from "./dialog.tsx";
import { Failure } from "./failure.tsx";

/** Makes a repeated call safe. */
export type CallHeaders = Record<"idempotency-key", string>;

/** A dialog for one call. It stays open while the call runs, and if it fails. */
export function FormDialog(props: {
  title: string;
  /** The text of the button. */
  submit: string;
  isDanger?: boolean;
  /** Whether the input is complete. */
  isReady?: boolean;
  /** What the call depends on. It has a new key only if this changes, so that a lost answer is no second change. */
  input?: unknown;
  onSubmit(headers: CallHeaders): Promise<unknown>;
  onDone(): void;
  onClose(): void;
  children: ComponentChildren;
}) {
  const { isDanger = false, isReady = true, onClose } = props;
  const isRunning = useSignal(false);
  const failure = useSignal<unknown>(undefined);
  const last = useRef({ input: "", key: "" });

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    if (isRunning.value || !isReady) return;
    const input = JSON.stringify(props.input ?? "");
    if (last.current.input !== input) last.current = { input, key: crypto.randomUUID() };
    isRunning.value = true;
    failure.value = undefined;
    try {
      await props.onSubmit({ "idempotency-key": last.current.key });
      props.onDone();
      onClose();
    } catch (error) {
      failure.value = error;
      isRunning.value = false;
    }
  }

  return (
    <Dialog title={props.title} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <fieldset disabled={isRunning.value}>{props.children}</fieldset>
        {failure.value !== undefined && <Failure error={failure.value} />}
        <footer>
          <button type="button" onClick={onClose}>
            {texts.value.common.cancel}
          </button>
          <button type="submit" class={isDanger ? "danger" : "primary"} disabled={isRunning.value || !isReady}>
            {props.submit}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
