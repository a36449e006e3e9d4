// Prints the TypeScript types of an OpenAPI document: `node make-types.js FILE`.
import { registerHooks } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

// openapi-typescript writes with the compiler API of TypeScript 5, which version 7 does not have.
registerHooks({
  resolve: (specifier, context, next) => next(specifier === "typescript" ? "typescript-5" : specifier, context),
});
const { default: openApiTypes, astToString } = await import("openapi-typescript");
const types = await openApiTypes(pathToFileURL(resolve(process.argv[2])));
process.stdout.write(astToString(types));
