import { stripTypeScriptTypes } from "node:module";

/** A jest transformer that does to tests what Node does to the program: it blanks the types out. */
export default { process: (source) => ({ code: stripTypeScriptTypes(source) }) };
