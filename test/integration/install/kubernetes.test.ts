// Proves that the manifests for Kubernetes build, are valid, and agree with the image and the server's settings.
import { readFileSync, rmSync } from "node:fs";
import { readConfig } from "../../../src/config/config.ts";
import { LIMITS } from "../../../src/transport/limits.ts";
import { createProbesDoor } from "../../../src/transport/rest/probes.ts";
import { blocks } from "../../support/docs.ts";
import { IMAGE_ENVIRONMENT } from "../../support/install/dockerfile.ts";
import { buildOverlay, type Manifest, schemaMistake, typeMistakes } from "../../support/install/manifests.ts";
import { settingsWithSecrets } from "../../support/install/secrets.ts";
import { temporaryFolder } from "../../support/servers/server-process.ts";

const SERVER: Record<string, { kind: string; replicas: number; store: string }> = {
  sqlite: { kind: "StatefulSet", replicas: 1, store: "sqlite" },
  postgres: { kind: "Deployment", replicas: 3, store: "postgres" },
};
const NAMES = Object.keys(SERVER);
const LABELS = { "app.kubernetes.io/name": "userlock" };

const folder = temporaryFolder();
/** Below the checkout, so that the compiler finds the types. */
const typed = `node_modules/.cache/userlock/manifests-${process.pid}.ts`;
const overlays: Record<string, Manifest[]> = {};

beforeAll(async () => {
  for (const name of NAMES) overlays[name] = await buildOverlay(name, folder.file(name));
});
afterAll(() => {
  rmSync(typed, { force: true });
  folder.remove();
});

const of = (name: string, kind: string) => overlays[name]!.filter((one) => one.kind === kind);
const serverOf = (name: string) => of(name, SERVER[name]!.kind)[0]!;
const podOf = (name: string) => serverOf(name).spec.template.spec;
const containerOf = (name: string) => podOf(name).containers[0];
const environmentOf = (name: string): Record<string, string> =>
  Object.fromEntries(containerOf(name).env.map((one: { name: string; value: string }) => [one.name, one.value]));

test.each(NAMES)("the overlay %s has one server, its services and its policies, in one namespace", (name) => {
  const kinds = ["NetworkPolicy", "PodDisruptionBudget", "Service", "Service", "ServiceAccount", SERVER[name]!.kind];
  const policies = name === "postgres" ? ["NetworkPolicy"] : [];
  expect(overlays[name]!.map(({ kind }) => kind).sort()).toEqual([...kinds, ...policies].sort());
  expect(new Set(overlays[name]!.map(({ metadata }) => metadata.namespace))).toEqual(new Set(["userlock"]));
  expect(serverOf(name).spec.replicas).toBe(SERVER[name]!.replicas);
});

test("each object is valid by its schema and by its type", async () => {
  const all = NAMES.flatMap((name) => overlays[name]!);
  expect(await Promise.all(all.map(schemaMistake))).toEqual(all.map(() => undefined));
  expect(await typeMistakes(all, typed)).toEqual([]);
});

test("a wrong value and a field that does not exist are found", async () => {
  const wrong = structuredClone(serverOf("postgres"));
  wrong.spec.replicas = "3";
  expect(await schemaMistake(wrong)).toContain("replicas must be integer");
  const unknown = structuredClone(serverOf("postgres"));
  unknown.spec.template.spec.containers[0].readynessProbe = {};
  expect((await typeMistakes([unknown], typed)).join()).toContain("readynessProbe");
});

test.each(NAMES)("the settings of the overlay %s are those of the server, with secrets from files", (name) => {
  const config = readConfig(settingsWithSecrets({ ...IMAGE_ENVIRONMENT, ...environmentOf(name) }, folder.file(name)));
  expect(config.store.kind).toBe(SERVER[name]!.store);
  expect([config.secretKey, config.adminToken]).not.toContain(undefined);
  const { volumeMounts } = containerOf(name);
  const [mount] = volumeMounts.filter((one: { name: string }) => one.name === "secrets");
  const files = Object.entries(environmentOf(name)).filter(([setting]) => setting.endsWith("_FILE"));
  expect(files.filter(([, file]) => !file.startsWith(`${mount.mountPath}/`))).toEqual([]);
  // What the documentation puts into the secret.
  const { code } = blocks("bash").find((block) => block.code.includes(`apply -k deploy/kubernetes/${name}`))!;
  const keys = [...code.matchAll(/--from-file=(\S+?)=/g)].map(([, key]) => `${mount.mountPath}/${key}`);
  expect(keys.sort()).toEqual(files.map(([, file]) => file).sort());
});

test.each(NAMES)("the ports and probes of the overlay %s are those of the server", async (name) => {
  const container = containerOf(name);
  const config = readConfig(IMAGE_ENVIRONMENT);
  const ports = container.ports.map((port: { name: string; containerPort: number }) => [port.name, port.containerPort]);
  expect(ports).toEqual([
    ["api", config.port],
    ["admin", config.adminListen?.port],
  ]);
  const probes = createProbesDoor(async () => true);
  for (const [probe, path] of [
    ["startupProbe", "/healthz"],
    ["livenessProbe", "/healthz"],
    ["readinessProbe", "/readyz"],
  ] as const) {
    expect(container[probe].httpGet).toEqual({ path, port: "admin" });
    expect(await probes("GET", path)).toMatchObject({ status: 200 });
  }
  const names = ports.map(([port]: [string, number]) => port);
  for (const { spec } of of(name, "Service")) {
    expect(spec.ports.filter((port: { targetPort: string }) => !names.includes(port.targetPort))).toEqual([]);
  }
  const [policy] = of(name, "NetworkPolicy").filter(({ spec }) => spec.ingress);
  const opened = policy?.spec.ingress.flatMap((rule: { ports: { port: string }[] }) => rule.ports);
  expect(opened.map(({ port }: { port: string }) => port)).toEqual(names);
});

test.each(NAMES)("what selects pods in the overlay %s selects those of the server", (name) => {
  const { spec } = serverOf(name);
  expect(spec.template.metadata.labels).toEqual(LABELS);
  expect(spec.selector.matchLabels).toEqual(LABELS);
  for (const service of of(name, "Service")) expect(service.spec.selector).toEqual(LABELS);
  for (const policy of of(name, "NetworkPolicy")) expect(policy.spec.podSelector.matchLabels).toEqual(LABELS);
  for (const budget of of(name, "PodDisruptionBudget")) expect(budget.spec.selector.matchLabels).toEqual(LABELS);
  expect(podOf(name).serviceAccountName).toBe(of(name, "ServiceAccount")[0]?.metadata.name);
});

test("gRPC clients get the address of each pod, and know that the port speaks HTTP/2", () => {
  const [grpc] = of("postgres", "Service").filter(({ spec }) => spec.clusterIP === "None");
  expect(grpc?.spec.ports).toEqual([{ name: "grpc", port: 8080, targetPort: "api", appProtocol: "kubernetes.io/h2c" }]);
  expect(serverOf("sqlite").spec.serviceName).toBe(grpc?.metadata.name);
});

test.each(NAMES)("the pods of the overlay %s have no rights and a read-only root", (name) => {
  const user = Number(/^USER (\d+):/m.exec(readFileSync("Dockerfile", "utf8"))?.[1]);
  expect(podOf(name)).toMatchObject({
    automountServiceAccountToken: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: user,
      runAsGroup: user,
      seccompProfile: { type: "RuntimeDefault" },
    },
  });
  expect(containerOf(name).securityContext).toEqual({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });
});

test.each(NAMES)("a pod of the overlay %s has time for its running calls when it stops", (name) => {
  const { terminationGracePeriodSeconds: grace } = podOf(name);
  const pause = containerOf(name).lifecycle.preStop.sleep.seconds;
  expect(grace).toBeGreaterThan(pause + LIMITS.drainMs / 1_000);
});

test("the database of SQLite is on the volume, whose files Kubernetes leaves as they are", () => {
  const { store } = readConfig({ ...IMAGE_ENVIRONMENT, USERLOCK_STORE: environmentOf("sqlite").USERLOCK_STORE });
  const [claim] = serverOf("sqlite").spec.volumeClaimTemplates;
  const [mount] = containerOf("sqlite").volumeMounts.filter(
    (one: { name: string }) => one.name === claim.metadata.name,
  );
  expect(store).toMatchObject({ kind: "sqlite", file: expect.stringMatching(`^${mount.mountPath}/`) });
  expect(podOf("sqlite").securityContext.fsGroupChangePolicy).toBe("OnRootMismatch");
});

test("the pods of both overlays differ in their store only", () => {
  const common = (name: string) => {
    const pod = structuredClone(podOf(name));
    delete pod.topologySpreadConstraints;
    delete pod.securityContext.fsGroupChangePolicy;
    const [container] = pod.containers;
    container.env = container.env.filter((one: { name: string }) => !one.name.startsWith("USERLOCK_STORE"));
    container.volumeMounts = container.volumeMounts.filter((one: { name: string }) => one.name !== "data");
    return pod;
  };
  expect(common("sqlite")).toEqual(common("postgres"));
});

test("the image has the version of the package", () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  for (const name of NAMES) expect(containerOf(name).image).toBe(`registry.example.com/userlock:${version}`);
});
