import { stripTypeScriptTypes } from "node:module";

/** A jest transformer that removes types from tests, as Node does for the program. */
export default { process: (source) => ({ code: stripTypeScriptTypes(source) }) };
