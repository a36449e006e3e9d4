import { existsSync } from "node:fs";
import { loadSync } from "@grpc/proto-loader";

const DEPENDENCIES = "node_modules/@grpc/grpc-js-xds/deps";
const FOLDERS = ["envoy-api", "xds", "googleapis", "protoc-gen-validate"].map((name) => `${DEPENDENCIES}/${name}`);

interface Field {
  name: string;
  label: string;
  type: string;
  typeName: string;
}
/** A message, or an enum, which has values. */
interface Descriptor {
  name: string;
  field: Field[];
  nestedType: Descriptor[];
  enumType: Descriptor[];
  options?: { mapEntry?: boolean };
  value?: { name: string }[];
}

/**
 * The fields of a configuration of Envoy that its published protos do not have, and the values that their enums do not
 * have. `files` are the protos of all types that the configuration names. Says nothing of Envoy's own checks.
 */
export function envoyMistakes(configuration: unknown, type: string, files: readonly string[]): string[] {
  const missing = files.filter((file) => !existsSync(`${FOLDERS[0]}/${file}`));
  if (missing.length > 0) throw new Error(`Envoy's protos have no ${missing.join(", ")}`);
  const types = new Map<string, Descriptor>();
  const loaded = loadSync([...files], { includeDirs: FOLDERS, keepCase: true });
  for (const [name, definition] of Object.entries(loaded)) {
    if ("type" in definition) add(name, definition.type as Descriptor);
  }
  const mistakes: string[] = [];

  function add(name: string, descriptor: Descriptor): void {
    types.set(name, descriptor);
    for (const each of [...(descriptor.nestedType ?? []), ...(descriptor.enumType ?? [])])
      add(`${name}.${each.name}`, each);
  }

  function check(value: unknown, name: string, path: string): void {
    if (name === "google.protobuf.Any") {
      const { "@type": url, ...rest } = value as Record<string, unknown>;
      check(rest, String(url).replace("type.googleapis.com/", ""), path);
      return;
    }
    // Durations, wrappers and the like are written as one value.
    if (name.startsWith("google.protobuf.")) return;
    const message = types.get(name);
    if (!message) mistakes.push(`${path}: no type ${name}`);
    else if (typeof value !== "object" || value === null) mistakes.push(`${path}: not an object`);
    else {
      for (const [key, one] of Object.entries(value)) checkField(message, name, key, one, `${path}.${key}`);
    }
  }

  function checkField(message: Descriptor, name: string, key: string, value: unknown, path: string): void {
    const field = message.field.find((each) => each.name === key);
    if (!field) {
      mistakes.push(`${path}: ${name} has no such field`);
      return;
    }
    const entry = message.nestedType.find((each) => each.options?.mapEntry && field.typeName.endsWith(each.name));
    const isList = field.label === "LABEL_REPEATED" && !entry;
    if (isList !== Array.isArray(value)) mistakes.push(`${path}: ${isList ? "not a list" : "a list"}`);
    for (const one of Array.isArray(value) ? value : entry ? Object.values(value as object) : [value]) {
      checkValue(entry?.field.find((each) => each.name === "value") ?? field, name, one, path);
    }
  }

  function checkValue({ type: kind, typeName }: Field, parent: string, value: unknown, path: string): void {
    const target = resolve(typeName, parent);
    if (kind === "TYPE_MESSAGE") check(value, target, path);
    else if (kind === "TYPE_ENUM") {
      if (!types.get(target)?.value?.some((each) => each.name === value))
        mistakes.push(`${path}: ${target} has no ${value}`);
    } else if (typeof value === "object") mistakes.push(`${path}: not a single value`);
  }

  /** The full name of a type that a message names, from the innermost scope outwards. */
  function resolve(name: string, parent: string): string {
    const bare = name.replace(/^\./, "");
    for (let scope = parent; scope !== ""; scope = scope.includes(".") ? scope.replace(/\.[^.]*$/, "") : "") {
      if (types.has(`${scope}.${bare}`)) return `${scope}.${bare}`;
    }
    return bare;
  }

  check(configuration, type, "");
  return mistakes;
}
