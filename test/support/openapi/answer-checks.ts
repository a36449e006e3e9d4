import { createRequire } from "node:module";
import { createAnswerCheck } from "./check-answer.ts";
import { ERROR, EVENT, pointerTo, readDocument } from "./document.ts";
import type { SchemaCheck } from "./schema-check.ts";
import { inWords } from "./words.ts";

/** A validator that compileChecks made. */
type Validate = ((value: unknown) => boolean) & { errors?: Parameters<typeof inWords>[0] };

const compiled = createRequire(import.meta.url)(process.env.ANSWER_CHECKS as string);
const validators: Record<string, Validate> = compiled.default;

const problemsOf: SchemaCheck = (place, value) => {
  const validate = validators[pointerTo(place)];
  if (!validate) throw new Error(`no validator was compiled for ${pointerTo(place)}`);
  return validate(value) ? [] : inWords(validate.errors);
};

/** Throws if an answer of userlock is not as `gen/openapi.json` says. */
export const checkAnswer = createAnswerCheck(readDocument(), problemsOf);

/** What is wrong with the data of a server-sent event by `gen/openapi.json`. */
export const problemsOfEvent = (type: string | undefined, data: string): string[] =>
  problemsOf(type === "error" ? ERROR : EVENT, JSON.parse(data));
