/** A jest reporter that ends the output with one plain line. A file that could not run counts as a failure. */
export default class ClosingLine {
  onRunComplete(_contexts, { numPassedTests, numFailedTests, numPendingTests, numRuntimeErrorTestSuites }) {
    const failed = numFailedTests + numPendingTests + numRuntimeErrorTestSuites;
    if (failed > 0) process.exitCode = 1;
    process.stdout.write(`\n${numPassedTests} passed, ${failed} failed\n`);
  }
}
