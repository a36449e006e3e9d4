import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { runCommand } from "../servers/command.ts";
import { cacheFolder, requireCommand } from "./toolchain.ts";

/** Options for programs that run for a minute at most: without the second, slow compiler. */
export const SHORT_LIVED = "-XX:TieredStopAtLevel=1";

/** Builds the programs of a Maven project into the cache. Resolves with the class path that runs them. */
export async function buildJava(project: string): Promise<string> {
  requireCommand("java", "Java 17 or newer", "openjdk-17-jdk-headless");
  requireCommand("mvn", "Maven", "maven");
  const built = cacheFolder("java");
  const list = join(built, "class-path");
  // `--strict-checksums`: a download that is not what the repository published is an error.
  const options = ["--batch-mode", "--quiet", "--strict-checksums", "--file", project];
  const properties = { userlock: resolve("."), built, "mdep.outputFile": list };
  const defined = Object.entries(properties).map(([name, value]) => `-D${name}=${value}`);
  const args = [...options, ...defined, "compile", "dependency:build-classpath"];
  const { code, stdout, stderr } = await runCommand("mvn", args, [], {
    env: { ...process.env, MAVEN_OPTS: SHORT_LIVED },
  });
  if (code !== 0) throw new Error(`mvn ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
  return [join(built, "classes"), readFileSync(list, "utf8").trim()].join(":");
}
