import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { type Document, type Place, pointerTo } from "./document.ts";
import { inWords } from "./words.ts";

const ID = "openapi.json";

/** A validator with the document, whose schemas are `ID` and a fragment. */
export function createAjv(document: Document, isStandalone = false) {
  const ajv = new Ajv2020({ strict: false, allErrors: true, code: { source: isStandalone, esm: isStandalone } });
  addFormats.default(ajv);
  // These have no meaning for JSON Schema.
  for (const format of ["uint32", "uint64"]) ajv.addFormat(format, true);
  ajv.addSchema({ $id: ID, ...document });
  return ajv;
}

/** A reference to the schema at a place. */
export const schemaAt = (place: Place) => ({ $ref: `${ID}#${pointerTo(place)}` });

/** What is wrong with a value by the schema at a place. */
export type SchemaCheck = (place: Place, value: unknown) => string[];

/** Validates values by the schemas of a document. */
export function createSchemaCheck(document: Document): SchemaCheck {
  const ajv = createAjv(document);
  return (place, value) => {
    const validate = ajv.compile(schemaAt(place));
    return validate(value) ? [] : inWords(validate.errors);
  };
}
