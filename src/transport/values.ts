import { type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { MAX_ITEMS } from "../rpc/check-request.ts";
import { refusal } from "../rpc/errors.ts";

/** The maximum number of values of a request before it is parsed: list items, their fields, and other fields. */
export const MAX_VALUES = 2 * MAX_ITEMS;

const [QUOTE, COMMA, BACKSLASH, OPEN_LIST, OPEN_OBJECT] = Buffer.from('",\\[{');

function tooMany() {
  const why = `A request must have at most ${MAX_VALUES} values, of which at most ${MAX_ITEMS} in lists.`;
  return refusal("INVALID_REQUEST", why);
}

/**
 * Throws INVALID_REQUEST for JSON with too many values. It runs before the parser, which would block other calls for
 * half a second on 4 MiB of empty objects.
 */
export function checkJsonValues(json: Uint8Array): void {
  // A value has at least two bytes.
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

/** Like checkJsonValues, for Protobuf. Malformed bytes throw the library's error. */
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
      // The bytes of a packed list bound its number of values.
      else if (field?.fieldKind === "list" && field.scalar !== ScalarType.STRING && field.scalar !== ScalarType.BYTES)
        values += reader.bytes().length;
      else reader.skip(wireType, number);
    }
  };
  visit(desc, message);
  if (values > MAX_VALUES) throw tooMany();
}
