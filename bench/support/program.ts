import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";

/** The core of the server, and the core of the load generator. */
const SERVER_CORE = 0;
const GENERATOR_CORE = 1;

/** The maximum time for a server to stop, in milliseconds. */
const STOP_MS = 12_000;

const PROFILES = process.env.BENCH_CPU_PROF;
/** Arguments for a CPU profile of each server, if a folder is set. */
const PROFILE = PROFILES ? ["--cpu-prof", `--cpu-prof-dir=${PROFILES}`] : [];

/** A server in its own process. */
export interface Program {
  url: string;
  /** CPU time of all threads in milliseconds. */
  cpu(): number;
  /** Resident memory in bytes. */
  memory(): number;
  stop(): Promise<void>;
}

/** Moves this process, the load generator, to its core. */
export function pinGenerator(): void {
  const { status, error } = spawnSync("taskset", ["-acp", String(GENERATOR_CORE), String(process.pid)]);
  if (status !== 0) throw new Error("a benchmark needs Linux, taskset and two cores", { cause: error });
}

export interface Start {
  env?: NodeJS.ProcessEnv;
  /** A file descriptor for the server's log. */
  stderr?: number;
  /** Whether the process runs on the core for servers, true by default. */
  isPinned?: boolean;
  /** The folder of another checkout. */
  checkout?: string;
}

/** Runs a Node program that prints its address. Rejects if the program ends earlier. */
export async function startProgram(
  args: readonly string[],
  { env = process.env, stderr = 2, isPinned = true, checkout = "." }: Start = {},
): Promise<Program> {
  const command = [process.execPath, ...PROFILE, ...args];
  if (isPinned) command.unshift("taskset", "-c", String(SERVER_CORE));
  const child = spawn(command[0] as string, command.slice(1), {
    cwd: checkout,
    env,
    stdio: ["ignore", "pipe", stderr],
  });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  let stdout = "";
  const url = await new Promise<string>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`${args.join(" ")} ended with ${code}: ${stdout}`)));
    child.stdout!.on("data", (chunk) => {
      stdout += chunk;
      const address = /listening on (\S+)$/m.exec(stdout)?.[1];
      if (address) resolve(address);
    });
  });
  const proc = (file: string) => readFileSync(`/proc/${child.pid}/${file}`, "latin1");
  return {
    url,
    cpu() {
      const threads = readdirSync(`/proc/${child.pid}/task`);
      // The first number is CPU time in nanoseconds (Linux: Documentation/scheduler/sched-stats.rst).
      const times = threads.map((thread) => Number(proc(`task/${thread}/schedstat`).split(" ")[0]));
      return times.reduce((sum, time) => sum + time, 0) / 1_000_000;
    },
    memory: () => Number(/^VmRSS:\s+(\d+) kB$/m.exec(proc("status"))?.[1]) * 1_024,
    async stop() {
      process.off("exit", kill);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill();
      const timer = setTimeout(kill, STOP_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Starts a peer, a program in `bench/peers`. */
export function startPeer(name: string, ...args: string[]): Promise<Program> {
  return startProgram([`bench/peers/${name}.ts`, ...args]);
}
