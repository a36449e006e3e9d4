import TestRunner from "jest-runner";

/** A jest runner that runs one test file at a time. Jest runs the groups of different runners one after another. */
export default class OneByOne extends TestRunner {
  constructor(globalConfig, context) {
    super({ ...globalConfig, maxWorkers: 1 }, context);
  }
}
