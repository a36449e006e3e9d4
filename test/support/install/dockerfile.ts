import { readFileSync } from "node:fs";

/** The path of the Dockerfile. */
export const DOCKERFILE = "Dockerfile";

const text = readFileSync(DOCKERFILE, "utf8");
const [head, ...stages] = text.split(/^(?=FROM )/m) as [string, string, string];

/** The stage that builds, and the one that becomes the image. Each begins with the ARG lines of all stages. */
export const [BUILD_STAGE, LAST_STAGE] = stages.map((stage) => head + stage) as [string, string];

/** The commands of RUN, each on one line. */
export const RUN_COMMANDS: readonly string[] = [...BUILD_STAGE.matchAll(/^RUN ((?:.*\\\n)*.*)$/gm)].map(
  ([, command]) => command?.replaceAll("\\\n", "") as string,
);

/** The environment of the image. */
export const IMAGE_ENVIRONMENT: Readonly<Record<string, string>> = Object.fromEntries(
  [...(/^ENV (?:.*\\\n)*.*$/m.exec(LAST_STAGE)?.[0] ?? "").matchAll(/(\w+)=(\S+)/g)].map(([, name, value]) => [
    name,
    value,
  ]),
);
