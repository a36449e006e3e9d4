import { existsSync, readFileSync } from "node:fs";
import type { HashSettings } from "./auth/password.ts";
import type { StoreSettings } from "./store/settings.ts";

export function parseListen(value: string): [host: string, port: number] | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(value);
  const port = Number(match?.[3]);
  return match && port <= 65_535 ? [(match[1] ?? match[2]) as string, port] : undefined;
}

export function storeOf(value: string): StoreSettings | undefined {
  if (/^sqlite:./.test(value)) return { kind: "sqlite", file: value.slice("sqlite:".length) };
  const isAddress = /^postgres(ql)?:\/\//.test(value) && URL.canParse(value) && new URL(value).pathname.length > 1;
  return isAddress ? { kind: "postgres", url: value } : undefined;
}

export function argon2Of(value: string): HashSettings | undefined {
  const [memoryKib = 0, passes = 0, lanes = 0] = (/^m=(\d{1,6}),t=(\d{1,2}),p=(\d{1,2})$/.exec(value) ?? [])
    .slice(1)
    .map(Number);
  const isBearable = memoryKib >= 8 * lanes && memoryKib <= 262_144 && passes >= 1 && passes <= 20 && lanes <= 16;
  return isBearable && lanes >= 1 ? { memoryKib, passes, lanes } : undefined;
}

export function list(value: string | undefined): string[] {
  return (value ?? "")
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** Whether a URL is of this host. */
export function isLoopback(text: string): boolean {
  return URL.canParse(text) && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(text).hostname);
}

export function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}

export function fileProblem(file: string): string | undefined {
  if (!existsSync(file)) return "there is no such file";
  try {
    readText(file);
    return undefined;
  } catch (error) {
    return `cannot be read: ${(error as Error).message}`;
  }
}

export function readText(file: string): string {
  return readFileSync(file, "utf8");
}
