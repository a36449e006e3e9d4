import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

/** A valid secret for each file of a deployment, by the file's name. */
const SAMPLE_SECRETS: Readonly<Record<string, string>> = {
  store: "postgres://userlock:secret-of-the-database@postgres/userlock",
  "secret-key": Buffer.alloc(32, 1).toString("base64"),
  "admin-token": "secret-token-of-the-first-owner",
};

/** Settings whose secrets are in files of a folder of the test, as a mount has them. Makes the files. */
export function settingsWithSecrets(settings: Record<string, string>, folder: string): Record<string, string> {
  mkdirSync(folder, { recursive: true });
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => {
      if (!name.endsWith("_FILE")) return [name, value];
      const file = join(folder, basename(value));
      writeFileSync(file, SAMPLE_SECRETS[basename(value)] ?? "");
      return [name, file];
    }),
  );
}
