import { useSignal } from "@preact/signals";
import { texts } from "../i18n/messages.ts";

/** Copies a text. Over plain HTTP browsers allow it on the own machine only, so the text must be readable, too. */
export function CopyButton({
  text,
  label,
  of,
}: {
  text: string;
  label: string /** What is copied, for screen readers. */;
  of?: string;
}) {
  const outcome = useSignal<"" | "copied" | "copyByHand">("");

  async function copy(): Promise<void> {
    try {
      // Undefined without a secure context.
      await navigator.clipboard.writeText(text);
      outcome.value = "copied";
    } catch {
      outcome.value = "copyByHand";
    }
  }

  return (
    <span class="copy">
      <button type="button" onClick={() => void copy()}>
        {label}
        {of !== undefined && <span class="hidden"> {of}</span>}
      </button>{" "}
      <span role="status">{outcome.value !== "" && texts.value.common[outcome.value]}</span>
    </span>
  );
}
