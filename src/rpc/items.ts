import type { DescMessage, Message } from "@bufbuild/protobuf";
import { invalidField } from "../domain/errors.ts";

/** Values that all lists of a request may have together. */
export const MAX_ITEMS = 20_000;

/**
 * Throws INVALID_REQUEST where the lists of a request have more than MAX_ITEMS values in all. Before the rules of the
 * contract are applied: they take microseconds for each value, all of them in one go.
 */
export function checkItems(desc: DescMessage, request: Message): void {
  let left = MAX_ITEMS;
  const visit = ({ fields }: DescMessage, message: Message): void => {
    for (const field of fields) {
      const holder = message as unknown as Record<string, unknown>;
      const oneof = field.oneof && (holder[field.oneof.localName] as { case?: string; value?: unknown });
      const value = oneof ? (oneof.case === field.localName ? oneof.value : undefined) : holder[field.localName];
      if (field.fieldKind === "list") {
        const items = value as readonly unknown[];
        left -= items.length;
        if (left < 0) throw invalidField(field.name, `the lists of a request may have ${MAX_ITEMS} values in all`);
        if (field.listKind === "message") for (const item of items) visit(field.message, item as Message);
      } else if (field.fieldKind === "message" && value && !field.message.typeName.startsWith("google.protobuf.")) {
        visit(field.message, value as Message);
      }
    }
  };
  visit(desc, request);
}
