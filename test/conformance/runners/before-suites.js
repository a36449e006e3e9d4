import prepare from "../../support/before-all.js";
import { GoMissing, installRunners } from "./install.ts";

/** Jest runs this before the suites. It builds their runners. */
export default async function beforeSuites() {
  try {
    installRunners((line) => process.stderr.write(`${line}\n`));
  } catch (error) {
    if (!(error instanceof GoMissing)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
  await prepare();
}
