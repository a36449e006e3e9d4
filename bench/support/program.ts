import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";

/** The core that a server has for itself, and that of who calls it. */
const SERVER_CORE = 0;
const GENERATOR_CORE = 1;

/** How long a server may take to end, milliseconds. */
const STOP_MS = 12_000;

const PROFILES = process.env.BENCH_CPU_PROF;
/** A profile of each server, if a folder for them is named. */
const PROFILE = PROFILES ? ["--cpu-prof", `--cpu-prof-dir=${PROFILES}`] : [];

/** A server in a process of its own. */
export interface Program {
  url: string;
  /** CPU time of all its threads, milliseconds. */
  cpu(): number;
  /** What it holds in memory, bytes. */
  memory(): number;
  stop(): Promise<void>;
}

/** Moves this process, the generator of the load, to its core. */
export function pinGenerator(): void {
  const { status, error } = spawnSync("taskset", ["-acp", String(GENERATOR_CORE), String(process.pid)]);
  if (status !== 0) throw new Error("a benchmark needs Linux, taskset and two cores", { cause: error });
}

export interface Start {
  env?: NodeJS.ProcessEnv;
  /** A file descriptor for what it logs. */
  stderr?: number;
  /** On the core for servers, unless it is false. */
  isPinned?: boolean;
  /** The folder of the code, if it is another checkout. */
  checkout?: string;
}

/** Runs a program of ours that prints where it listens. Rejects if it ends before. */
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
      // Nanoseconds on a core come first (Documentation/scheduler/sched-stats.rst of Linux).
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

/** Starts a peer: one of the programs in `bench/peers`. */
export function startPeer(name: string, ...args: string[]): Promise<Program> {
  return startProgram([`bench/peers/${name}.ts`, ...args]);
}
