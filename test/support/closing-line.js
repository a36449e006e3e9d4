import { writeSync } from "node:fs";

/** A jest reporter that ends the output with one plain line. Tests that could not run count as failed. */
export default class ClosingLine {
  onRunComplete(_contexts, { numPassedTests, numFailedTests, numPendingTests, numRuntimeErrorTestSuites }) {
    const failed = numFailedTests + numPendingTests + numRuntimeErrorTestSuites;
    process.on("exit", () => {
      if (failed > 0 || numPassedTests === 0) process.exitCode = 1;
      // Jest delays its own lines. This one is written after them.
      writeSync(process.stdout.fd, `\n${numPassedTests} passed, ${failed} failed\n`);
    });
  }
}
