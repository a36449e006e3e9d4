import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { runCommand } from "../servers/command.ts";

/** The folder of the manifests, with a folder for each overlay. */
const MANIFESTS = "deploy/kubernetes";

/** An object of Kubernetes, as in the manifest. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
  // biome-ignore lint/suspicious/noExplicitAny: its shape is what the tests check
  spec: any;
}

/** Builds an overlay with kubectl, offline, in a folder of the test. */
export async function buildOverlay(name: string, folder: string): Promise<Manifest[]> {
  cpSync(MANIFESTS, folder, { recursive: true });
  const { stdout: version } = await runCommand("kubectl", ["version", "--client", "--output=json"]);
  const [minor] = /\d+/.exec(JSON.parse(version).clientVersion.minor) ?? [];
  if (Number(minor) < 21) {
    // Debian 12 has 1.20, whose kustomize takes folders under another name.
    const file = join(folder, name, "kustomization.yaml");
    const text = readFileSync(file, "utf8").replace("resources:\n  - ../base\n", "bases:\n  - ../base\nresources:\n");
    writeFileSync(file, text);
  }
  const { code, stdout, stderr } = await runCommand("kubectl", ["kustomize", join(folder, name)]);
  if (code !== 0 || stderr !== "") throw new Error(`kubectl kustomize ended with ${code}: ${stderr}`);
  return parseAllDocuments(stdout).map((document) => document.toJS());
}

/** The module of kubernetes-models that knows the object. */
const moduleOf = ({ apiVersion }: Manifest) => `kubernetes-models/${apiVersion}`;

/** Checks an object against the schema of its kind. Returns the mistake. */
export async function schemaMistake(manifest: Manifest): Promise<string | undefined> {
  const models = (await import(moduleOf(manifest))) as Record<string, new (data: Manifest) => { validate(): void }>;
  const Model = models[manifest.kind];
  if (!Model) return `${manifest.apiVersion} has no ${manifest.kind}`;
  try {
    new Model(manifest).validate();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * Checks objects against the types of their kinds, which know all fields: the schemas ignore a field that does not exist.
 * Returns the mistakes. `file` is a TypeScript file below the checkout to make.
 */
export async function typeMistakes(manifests: Manifest[], file: string): Promise<string[]> {
  const text = manifests.map(
    (manifest, index) =>
      `export const object${index}: import("${moduleOf(manifest)}").I${manifest.kind} = ${JSON.stringify(manifest)};\n`,
  );
  writeFileSync(file, text.join(""));
  const options = ["--ignoreConfig", "--noEmit", "--strict", "--module", "nodenext", "--skipLibCheck"];
  const { stdout } = await runCommand("node_modules/.bin/tsc", [...options, file]);
  return stdout.trim() === "" ? [] : stdout.trim().split("\n");
}
