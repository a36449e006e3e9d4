import type { Option, Options, ValuesOf } from "./options.ts";

/** A stream that people look at. */
export interface Screen {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

/** Where the command line finds its server, and how it prints. */
export interface Environment {
  USERLOCK_URL?: string | undefined;
  USERLOCK_TOKEN?: string | undefined;
  NO_COLOR?: string | undefined;
  TERM?: string | undefined;
}

/** Operations on the store for commands without a server. Times are microseconds. All reject with a DomainError. */
export interface AdminOperations {
  unlock(userId: string): Promise<void>;
  /** Makes a token of an INSTANCE_OWNER. Resolves with its secret. */
  createToken(subject: string, lifetime: number | undefined): Promise<string>;
  /** Makes a code that a browser can exchange once, within 60 s, for a session of an INSTANCE_OWNER. */
  createConsoleCode(subject: string): Promise<string>;
  /** Revokes all tokens of the subject. Resolves with their number. */
  revokeTokens(subject: string): Promise<number>;
  /** Creates a break-glass account beyond the reach of every role. */
  createUser(userId: string): Promise<void>;
  /** Forgets which key the servers have. */
  resetKey(): Promise<void>;
  locked(): AsyncIterable<{
    id: string;
    lock: { cause: string; reason: string; by: string; since: number; until?: number };
  }>;
}

/** The parts of userlock that the command line must not import: servers and stores. */
export interface Host {
  /** Serves until a signal arrives. */
  serve(around: Surroundings): Promise<number>;
  /** Whether the server of the environment's settings is ready; if not, the state says why. */
  checkServer(env: Environment): Promise<{ address: string; state: "ready" | (string & {}) }>;
  /** The effective settings of a server, without secrets. */
  describeSettings(env: Environment): { name: string; value: string; from: string }[];
  /** The address of the server with the console, for a browser on its machine. Undefined if the settings take the console away. */
  consoleAddress(env: Environment): string | undefined;
  /** Runs the work while an in-memory server runs. */
  withDemoServer(work: (url: string, token: string) => Promise<void>): Promise<void>;
  /** Runs the work on the store of the environment. */
  withStore(env: Environment, work: (operations: AdminOperations) => Promise<void>): Promise<void>;
}

/** The environment of a command: a process, or a test. */
export interface Surroundings {
  env: Environment;
  stdin(): AsyncIterable<string>;
  stdout: Screen;
  stderr: Screen;
  /** Whether the command can ask a person. */
  isInteractive: boolean;
  /** Aborted with the error of stdout when stdout fails or is closed. */
  outputEnded: AbortSignal;
  /** Resolves when everything is written to stdout, or stdout has failed. */
  flush(): Promise<void>;
  /** Runs the work with a signal that SIGINT and SIGTERM abort; a second one ends the process at once. */
  untilSignal<Result>(work: (stop: AbortSignal) => Promise<Result>): Promise<Result>;
  host: Host;
}

/** A command: its help, and what it does. */
export interface Command<All extends Options = Options> {
  /** One line, an imperative sentence. */
  summary: string;
  /** The arguments, such as `ID` or `[ID…]`. Brackets make them optional, dots allow several. */
  argument?: string;
  options: All;
  /** A working command line, without the name of the program. */
  example: string;
  /** The command goes on when nothing reads its output. */
  outlivesOutput?: true;
  /** Resolves with the exit code. Rejects with UsageError, CommandFailed or the server's error. */
  run(values: ValuesOf<All>, args: string[], around: Surroundings): Promise<number>;
}

/** Commands under one word. */
export interface Group {
  summary: string;
  commands: Record<string, Command | Group>;
  /** The command to run if the next word is not the name of one. */
  default?: string;
}

/** Gives a command the types of its options. */
export function command<const All extends Record<string, Option>>(one: Command<All>): Command {
  return one as unknown as Command;
}

export function isGroup(node: Command | Group): node is Group {
  return "commands" in node;
}
