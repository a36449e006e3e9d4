import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, normalize, relative } from "node:path";

/** A room of the house: a folder or a file of src, and which rooms it may import. */
const ROOMS: Record<string, string[]> = {
  "domain/": [],
  "store/port.ts": ["domain/"],
  // The store's door for who puts the parts together; config.ts takes from it the type of what it opens, and no code.
  "store/open.ts": ["store/port.ts", "store/"],
  "store/": ["store/port.ts", "domain/"],
  "app/": ["domain/", "store/port.ts"],
  "auth/": ["domain/", "store/port.ts"],
  "rpc/": ["app/", "auth/", "domain/", "gen"],
  "transport/": ["rpc/", "gen"],
  "cli/": ["gen"],
  "clock.ts": [],
  "ids.ts": ["clock.ts"],
  "log.ts": [],
  "config.ts": ["auth/", "log.ts", "setting-values.ts", "store/open.ts"],
  "setting-values.ts": ["auth/", "store/open.ts"],
  "server.ts": [
    "app/",
    "auth/",
    "clock.ts",
    "config.ts",
    "domain/",
    "gen",
    "ids.ts",
    "log.ts",
    "rpc/",
    "setting-values.ts",
    "store/open.ts",
    "store/port.ts",
    "transport/",
  ],
  "admin.ts": ["app/", "auth/", "clock.ts", "config.ts", "domain/", "ids.ts", "store/open.ts"],
  "main.ts": ["admin.ts", "cli/", "config.ts", "log.ts", "server.ts"],
};

/** What only some rooms may reach for outside the house. */
const OUTSIDE: { what: string; pattern: RegExp; allowed: string[] }[] = [
  { what: "jose", pattern: /^jose$/, allowed: ["auth/"] },
  { what: "the SQLite driver", pattern: /^node:sqlite$/, allowed: ["store/"] },
  { what: "the PostgreSQL driver", pattern: /^pg$/, allowed: ["store/"] },
  { what: "the network", pattern: /^node:(http|https|http2|net|tls)$/, allowed: ["transport/"] },
  { what: "Connect's server", pattern: /^@connectrpc\//, allowed: ["transport/", "cli/"] },
  { what: "grpc-js", pattern: /^@grpc\//, allowed: ["cli/"] },
];

interface Import {
  file: string;
  specifier: string;
}

const SRC = "src";
const IMPORT = /(?:(?:^|\n)(?:import|export)\s[^;]*?from\s+"([^"]+)"|\bimport\("([^"]+)"\))/g;
const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
const imports = files.flatMap((file): Import[] =>
  [...readFileSync(join(SRC, file), "utf8").matchAll(IMPORT)].map(([, specifier, later]) => ({
    file,
    specifier: (specifier ?? later) as string,
  })),
);

function roomOf(file: string): string {
  const room = Object.keys(ROOMS).find((name) => file === name || (name.endsWith("/") && file.startsWith(name)));
  if (room === undefined) throw new Error(`src/${file} stands in no room of the house`);
  return room;
}

/** The room that a relative import leads to, or undefined for a package. */
function target({ file, specifier }: Import): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const path = normalize(join(SRC, dirname(file), specifier));
  return path.startsWith("gen/") ? "gen" : roomOf(relative(SRC, path));
}

/** Breaches, each with file, import and rule. */
function breaches(all: Import[]): string[] {
  return all.flatMap((one) => {
    const room = roomOf(one.file);
    const to = target(one);
    if (to !== undefined) {
      const allowed = to === room || ROOMS[room]!.includes(to);
      return allowed
        ? []
        : [`src/${one.file} imports ${one.specifier}: ${room} may import ${ROOMS[room]!.join(", ") || "nothing"}`];
    }
    return OUTSIDE.filter(({ pattern, allowed }) => pattern.test(one.specifier) && !allowed.includes(room)).map(
      ({ what, allowed }) => `src/${one.file} imports ${one.specifier}: ${what} belongs to ${allowed.join(", ")}`,
    );
  });
}

test("every import goes the way that the house allows", () => {
  expect(imports.length).toBeGreaterThan(100);
  expect(imports).toContainEqual({ file: "store/open.ts", specifier: "./postgres.ts" });
  expect(breaches(imports)).toEqual([]);
});

test.each([
  [{ file: "domain/user.ts", specifier: "../store/port.ts" }],
  [{ file: "transport/rest.ts", specifier: "../app/execute.ts" }],
  [{ file: "rpc/users.ts", specifier: "../store/sqlite.ts" }],
  [{ file: "cli/token.ts", specifier: "../server.ts" }],
  [{ file: "app/search.ts", specifier: "node:sqlite" }],
  [{ file: "server.ts", specifier: "pg" }],
  [{ file: "config.ts", specifier: "./store/sqlite.ts" }],
  [{ file: "rpc/users.ts", specifier: "@connectrpc/connect" }],
])("a breach is found: %j", (one) => {
  expect(breaches([one])).toHaveLength(1);
});

test("the domain imports nothing from outside itself", () => {
  const outside = imports.filter(({ file, specifier }) => file.startsWith("domain/") && !specifier.startsWith("./"));
  expect(outside).toEqual([]);
});

test("only main.ts reads the environment", () => {
  const readers = files.filter((file) => /process\.env/.test(readFileSync(join(SRC, file), "utf8")));
  expect(readers).toEqual(["main.ts"]);
});

test("what src and the generated code import is a dependency, not a development dependency", () => {
  const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
  const packages = new Set(
    imports
      .map(({ specifier }) => specifier)
      .filter((specifier) => !specifier.startsWith(".") && !specifier.startsWith("node:"))
      .filter((specifier) => !builtinModules.includes(specifier))
      .map((specifier) => /^(@[^/]+\/[^/]+|[^/]+)/.exec(specifier)?.[1] as string),
  );
  expect([...packages].filter((name) => !Object.hasOwn(dependencies, name))).toEqual([]);
});

test("no file of src has more than 350 lines", () => {
  const long = files.filter((file) => readFileSync(join(SRC, file), "utf8").split("\n").length > 350);
  expect(long).toEqual([]);
});
