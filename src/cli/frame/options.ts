import { DURATION_RULE, durationOf } from "../../duration.ts";

type Presence = "optional" | "required" | "many";

/** An option of a command, such as `--reason CODE`. */
export interface Option<Value = unknown, Given extends Presence = Presence> {
  /** One line for the help. */
  summary: string;
  /** The placeholder of the value in the help. A flag has none. */
  value?: string;
  given: Given;
  /** All allowed values, if there are few. */
  words?: readonly string[];
  /** Parses the text of a value. Throws an Error that says what is allowed. */
  parse(text: string): Value;
}

/** Options by their names, without the dashes. */
export type Options = Record<string, Option>;

/** The parsed values by the names of the options. */
export type ValuesOf<All extends Options> = {
  [Name in keyof All]: All[Name] extends Option<infer Value, infer Given>
    ? "many" extends Given
      ? Value[]
      : "required" extends Given
        ? Value
        : Value | undefined
    : never;
};

function optionOf<Value>(value: string, summary: string, parse: (text: string) => Value): Option<Value, "optional"> {
  return { summary, value, given: "optional", parse };
}

/** An option without a value. */
export function flag(summary: string): Option<true, "optional"> {
  return { summary, given: "optional", parse: () => true };
}

/** An option whose value is a text. An empty one is refused: it usually comes from an unset variable. */
export function text(value: string, summary: string): Option<string, "optional"> {
  return optionOf(value, summary, (given) => {
    if (given === "") throw new Error("is empty");
    return given;
  });
}

/** An option whose value is a text, which may be empty. */
export function anyText(value: string, summary: string): Option<string, "optional"> {
  return optionOf(value, summary, (given) => given);
}

/** An option whose value is one of a few words. */
export function word<Word extends string>(
  value: string,
  summary: string,
  words: readonly Word[],
): Option<Word, "optional"> {
  const parse = (given: string) => {
    const found = words.find((one) => one === given);
    if (found === undefined) throw new Error(`must be one of ${words.join(", ")}, not ${JSON.stringify(given)}`);
    return found;
  };
  return { ...optionOf(value, summary, parse), words };
}

/** An option whose value is a whole number. */
export function number(value: string, summary: string, max = 999_999_999): Option<number, "optional"> {
  return optionOf(value, summary, (given) => {
    if (/^\d{1,9}$/.test(given) && Number(given) <= max) return Number(given);
    throw new Error(`must be a number from 0 to ${max.toLocaleString("en")}, not ${JSON.stringify(given)}`);
  });
}

/** An option whose value is a duration, such as `12h`. The value is in microseconds. */
export function duration(
  value: string,
  summary: string,
  { allowsZero = false }: { allowsZero?: boolean } = {},
): Option<number, "optional"> {
  return optionOf(value, summary, (given) => {
    const micros = allowsZero && given === "0" ? 0 : durationOf(given);
    if (micros !== undefined) return micros;
    throw new Error(`must be ${allowsZero ? "0 or " : ""}${DURATION_RULE}, not ${JSON.stringify(given)}`);
  });
}

const TIME_RULE = "a time with its zone, such as 2030-01-31T12:00:00Z";

function timeIn(text: string): Date | undefined {
  const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text);
  return isTime && !Number.isNaN(Date.parse(text)) ? new Date(text) : undefined;
}

/** An option whose value is a time with its zone. */
export function time(value: string, summary: string): Option<Date, "optional"> {
  return optionOf(value, summary, (given) => {
    const found = timeIn(given);
    if (found === undefined) throw new Error(`must be ${TIME_RULE}, not ${JSON.stringify(given)}`);
    return found;
  });
}

/** An option whose value is a time with its zone, or how long ago it was. */
export function pastTime(value: string, summary: string): Option<Date, "optional"> {
  return optionOf(value, summary, (given) => {
    const ago = durationOf(given);
    const found = ago === undefined ? timeIn(given) : new Date(Date.now() - ago / 1_000);
    if (found === undefined)
      throw new Error(`must be ${TIME_RULE}, or how long ago, such as 2h, not ${JSON.stringify(given)}`);
    return found;
  });
}

/** Makes the option required. */
export function required<Value>(option: Option<Value>): Option<Value, "required"> {
  return { ...option, given: "required" };
}

/** Lets the option be given several times. */
export function many<Value>(option: Option<Value>): Option<Value, "many"> {
  return { ...option, given: "many" };
}
