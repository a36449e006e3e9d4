// Jest runs this before each test file. Code without types keeps its positions, so stacks need no source maps.
// Otherwise jest would look for a map at every error.
Error.stackTraceLimit = 10;
Error.prepareStackTrace = (error, calls) => [error, ...calls].join("\n    at ");
