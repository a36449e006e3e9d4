import prepare from "../../support/before-all.js";
import { bundleProgram } from "../../support/servers/bundle.js";
import { installRunners } from "./install.ts";

/** Jest runs this before the suites: it builds their runners, and bundles the server that Connect's runner starts. */
export default async function beforeSuites() {
  try {
    await installRunners();
  } catch (error) {
    process.stderr.write(`npm run test:conformance: ${error.message}\n`);
    process.exit(1);
  }
  await prepare();
  const bundle = "node_modules/.cache/userlock/conformance-server.mjs";
  process.env.CONFORMANCE_SERVER = await bundleProgram("test/conformance/service/server.ts", bundle);
}
