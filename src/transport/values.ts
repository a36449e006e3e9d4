import { type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { MAX_ITEMS } from "../rpc/check-request.ts";
import { refusal } from "../rpc/errors.ts";

/** Values that a request may have before it is read: those of its lists, what they are made of, and what is around. */
export const MAX_VALUES = 2 * MAX_ITEMS;

const [QUOTE, COMMA, BACKSLASH, OPEN_LIST, OPEN_OBJECT] = Buffer.from('",\\[{');

function tooMany() {
  const why = `A request may have ${MAX_VALUES} values in all, and its lists together ${MAX_ITEMS} values.`;
  return refusal("INVALID_REQUEST", why);
}

/**
 * Throws INVALID_REQUEST for JSON with too many values. Before it is parsed: 4 MiB of empty objects would take half a
 * second, in which nobody else is served.
 */
export function checkJsonValues(json: Uint8Array): void {
  // No value takes less than two bytes.
  if (json.byteLength <= 2 * MAX_VALUES) return;
  let values = 1;
  for (let at = 0; at < json.byteLength; at++) {
    const byte = json[at];
    if (byte === QUOTE) {
      while (++at < json.byteLength && json[at] !== QUOTE) if (json[at] === BACKSLASH) at++;
    } else if (byte === COMMA || byte === OPEN_LIST || byte === OPEN_OBJECT) {
      if (++values > MAX_VALUES) throw tooMany();
    }
  }
}

/** The same for a message in Protobuf. Malformed bytes throw the library's error. */
export function checkFields(desc: DescMessage, message: Uint8Array): void {
  if (message.byteLength <= 2 * MAX_VALUES) return;
  let values = 0;
  const visit = ({ fields }: DescMessage, bytes: Uint8Array): void => {
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [number, wireType] = reader.tag();
      if (++values > MAX_VALUES) throw tooMany();
      const field = fields.find((each) => each.number === number);
      if (wireType !== WireType.LengthDelimited) reader.skip(wireType, number);
      else if (field?.message) visit(field.message, reader.bytes());
      // A packed list has a value in each byte that ends one.
      else if (field?.fieldKind === "list" && field.scalar !== ScalarType.STRING && field.scalar !== ScalarType.BYTES)
        values += reader.bytes().length;
      else reader.skip(wireType, number);
    }
  };
  visit(desc, message);
  if (values > MAX_VALUES) throw tooMany();
}
