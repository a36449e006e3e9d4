import { writeSync } from "node:fs";

/** A jest reporter that ends the output with one plain line. What could not run counts as a failure. */
export default class ClosingLine {
  onRunComplete(_contexts, { numPassedTests, numFailedTests, numPendingTests, numRuntimeErrorTestSuites }) {
    const failed = numFailedTests + numPendingTests + numRuntimeErrorTestSuites;
    process.on("exit", () => {
      if (failed > 0 || numPassedTests === 0) process.exitCode = 1;
      // Jest holds its own lines back for a moment; this one comes when they are out.
      writeSync(process.stdout.fd, `\n${numPassedTests} passed, ${failed} failed\n`);
    });
  }
}
