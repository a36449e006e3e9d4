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

/** What the store does for the commands that need no server. Times are microseconds. All reject with a DomainError. */
export interface AdminOperations {
  unlock(userId: string): Promise<void>;
  /** Makes a token of an INSTANCE_OWNER. Resolves with its secret. */
  createToken(subject: string, lifetime: number | undefined): Promise<string>;
  /** Revokes all tokens of the subject. Resolves with their number. */
  revokeTokens(subject: string): Promise<number>;
  /** Creates a break-glass account, which no grant reaches. */
  createUser(userId: string): Promise<void>;
  /** Forgets which key the servers have. */
  resetKey(): Promise<void>;
  locked(): AsyncIterable<{
    id: string;
    lock: { cause: string; reason: string; by: string; since: number; until?: number };
  }>;
}

/** What the program can do that the command line itself does not import: servers and stores. */
export interface Host {
  /** Serves until a signal comes. */
  serve(around: Surroundings): Promise<number>;
  /** Runs the work beside a server that keeps nothing. */
  withDemoServer(work: (url: string, token: string) => Promise<void>): Promise<void>;
  /** Runs the work on the store of the environment. */
  withStore(env: Environment, work: (operations: AdminOperations) => Promise<void>): Promise<void>;
}

/** What a command has around it: a process, or a test. */
export interface Surroundings {
  env: Environment;
  stdin(): AsyncIterable<string>;
  stdout: Screen;
  stderr: Screen;
  /** Whether a person is there to be asked. */
  isInteractive: boolean;
  /** Aborted with the error of stdout when it takes no more. */
  outputEnded: AbortSignal;
  /** Resolves when stdout has taken everything, or takes no more. */
  flush(): Promise<void>;
  /** Runs the work with a signal that SIGINT and SIGTERM abort; a second one ends the process at once. */
  untilSignal<Result>(work: (stop: AbortSignal) => Promise<Result>): Promise<Result>;
  host: Host;
}

/** One command: what the help says of it, and what it does. */
export interface Command<All extends Options = Options> {
  /** One line, an imperative sentence. */
  summary: string;
  /** What it takes beside options, such as `ID` or `[ID…]`: required unless in brackets, many with the dots. */
  argument?: string;
  options: All;
  /** What a command line is that works, without the program's name. */
  example: string;
  /** It works on when nobody reads its output. */
  outlivesOutput?: true;
  /** Resolves with the exit code. Rejects with UsageError, CommandFailed or the server's error. */
  run(values: ValuesOf<All>, args: string[], around: Surroundings): Promise<number>;
}

/** Commands under one word. */
export interface Group {
  summary: string;
  commands: Record<string, Command | Group>;
  /** The command that is meant if the next word names none. */
  default?: string;
}

/** Gives a command the types of its options. */
export function command<const All extends Record<string, Option>>(one: Command<All>): Command {
  return one as unknown as Command;
}

export function isGroup(node: Command | Group): node is Group {
  return "commands" in node;
}
