import { useId } from "preact/hooks";

/** A filter by a text, as a chip with a field. It changes when the text is complete. */
export function TextChip(props: {
  name: string;
  value: string;
  /** The width of the field, characters. */
  size?: number;
  /** The longest text, characters. */
  maxLength?: number;
  suggested?: readonly string[] | undefined;
  onChange(value: string): void;
}) {
  const id = useId();
  return (
    <label class={props.value === "" ? "chip" : "chip on"}>
      {props.name}
      <input
        list={id}
        value={props.value}
        onChange={({ currentTarget }) => props.onChange(currentTarget.value.trim())}
        size={props.size ?? 10}
        maxLength={props.maxLength ?? 200}
        autocomplete="off"
        spellcheck={false}
      />
      <datalist id={id}>
        {props.suggested?.map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
    </label>
  );
}
