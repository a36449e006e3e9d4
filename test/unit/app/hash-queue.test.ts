// Proves that password hashing is shared fairly between callers and users.
import { createHashQueue, hashesAtOnce, type PasswordHasher, type Turn } from "../../../src/app/hash-queue.ts";

const COSTLY = "costly";
const FULL = "TOO_MANY_REQUESTS";

/** The jobs that have begun, in order. Each runs until the test releases it. */
let begun: string[];
let running: (() => void)[];

const work = async <Result>(name: string, result: Result): Promise<Result> => {
  begun.push(name);
  await new Promise<void>((resolve) => running.push(resolve));
  return result;
};
const hasher: PasswordHasher = {
  hash: (password) => work(password, ""),
  verify: (password) => work(password, { isRight: false, isOutdated: false }),
  pretend: (password) => work(password, undefined),
  isCostly: (hash) => hash === COSTLY,
};

beforeEach(() => {
  begun = [];
  running = [];
});

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
/** Ends all jobs that run now. */
async function letGo(): Promise<void> {
  for (const end of running.splice(0)) end();
  await settled();
}
async function letAllGo(): Promise<void> {
  while (running.length > 0) await letGo();
}
const turn = (caller: string, user: string, more: Partial<Turn> = {}): Turn => ({ caller, user, ...more });
const reasonOf = (result: Promise<unknown>) =>
  result.then(
    () => "hashed",
    ({ reason }) => reason,
  );

test.each([1, 2, 8])("with %i threads, as many passwords are hashed at once", async (threads) => {
  const queue = createHashQueue({ hasher, threads });
  for (let user = 0; user < 20; user++) void queue.hash(`p${user}`, turn("page", `u${user}`));
  await settled();
  expect(begun).toHaveLength(threads);
  await letGo();
  expect(begun).toHaveLength(2 * threads);
  await letAllGo();
});

const ways: [name: string, ask: (queue: ReturnType<typeof createHashQueue>, name: string, turn: Turn) => unknown][] = [
  ["hash", (queue, name, of) => queue.hash(name, of)],
  ["verify", (queue, name, of) => queue.verify(name, "own", of)],
  ["pretend", (queue, name, of) => queue.pretend(name, of)],
];

test.each(ways)("%s serves callers in turn, and the users of one caller in turn", async (_name, ask) => {
  const queue = createHashQueue({ hasher, threads: 1 });
  for (const job of [1, 2, 3]) void ask(queue, `ann ${job}`, turn("page", "ann"));
  void ask(queue, "bob 1", turn("page", "bob"));
  void ask(queue, "cyd 1", turn("other page", "cyd"));
  await settled();
  await letAllGo();
  expect(begun).toEqual(["ann 1", "cyd 1", "ann 2", "bob 1", "ann 3"]);
});

test("a login from a known device does not wait for 500 logins from unknown devices", async () => {
  const queue = createHashQueue({ hasher, threads: 2 });
  const strangers = Array.from({ length: 500 }, (_, user) => reasonOf(queue.pretend("x", turn("page", `u${user}`))));
  expect(await Promise.race(strangers.slice(400))).toBe(FULL);
  void queue.verify("mine", "own", turn("page", "ann", { isKnownDevice: true }));
  await settled();
  expect(begun).toContain("mine");
  await letAllGo();
});

test.each(["verify", "pretend"])("%s of costly hashes does not delay the hashes of other users", async (way) => {
  const queue = createHashQueue({ hasher, threads: 1 });
  for (const user of ["v1", "v2", "v3"]) {
    const of = turn("page", user);
    void (way === "verify" ? queue.verify("costly", COSTLY, of) : queue.pretend("costly", of, COSTLY));
  }
  void queue.verify("ordinary", "own", turn("page", "ann"));
  void queue.verify("known", "own", turn("page", "bob", { isKnownDevice: true }));
  await settled();
  expect([...begun].sort()).toEqual(["costly", "known", "ordinary"]);
  await letAllGo();
});

test("one caller gets 300 of the 4,000 waiting places, others share the rest, and any more are refused at once", async () => {
  const queue = createHashQueue({ hasher, threads: 1 });
  const ask = (caller: string, count: number) =>
    Array.from({ length: count }, (_, user) => reasonOf(queue.hash("x", turn(caller, `u${user}`))));
  const many = ask("page", 400);
  const others = Array.from({ length: 14 }, (_, page) => ask(`page ${page}`, 280)).flat();
  expect(await Promise.race(many.slice(301))).toBe(FULL);
  expect(await Promise.race(others.slice(3_700))).toBe(FULL);
  void letAllGo();
  const counts = (all: string[]) => all.filter((outcome) => outcome === "hashed").length;
  await settled();
  expect([counts(await Promise.all(many)), counts(await Promise.all(others))]).toEqual([301, 12 * 280 + 170 + 85]);
  expect(await settleOne(queue)).toBe("hashed");
});

async function settleOne(queue: ReturnType<typeof createHashQueue>): Promise<string> {
  const last = reasonOf(queue.hash("last", turn("page", "ann")));
  await settled();
  await letAllGo();
  return last;
}

test("a caller who leaves the queue is not hashed for, and frees their place", async () => {
  const queue = createHashQueue({ hasher, threads: 1 });
  void queue.hash("first", turn("page", "ann"));
  const gone = new AbortController();
  const waiting = queue.hash("second", turn("page", "bob", { signal: gone.signal }));
  gone.abort(new Error("gone"));
  await expect(waiting).rejects.toThrow("gone");
  await letAllGo();
  expect(begun).toEqual(["first"]);
});

test("a failed hash frees its place", async () => {
  const failing = { ...hasher, hash: () => Promise.reject(new Error("broken")) };
  const queue = createHashQueue({ hasher: failing, threads: 1 });
  for (let round = 0; round < 500; round++)
    await expect(queue.hash("x", turn("page", "ann"))).rejects.toThrow("broken");
  const verified = queue.verify("p", "own", turn("page", "ann"));
  await settled();
  await letAllGo();
  expect(await verified).toMatchObject({ isRight: false });
});

test("all kinds of hashes together never exceed the count that sizes Node's thread pool", async () => {
  const queue = createHashQueue({ hasher, threads: 3 });
  for (let user = 0; user < 50; user++) {
    void queue.hash("x", turn("page", `u${user}`));
    void queue.verify("x", COSTLY, turn("page", `u${user}`));
    void queue.verify("x", "own", turn("page", `u${user}`, { isKnownDevice: true }));
  }
  await settled();
  expect(begun).toHaveLength(hashesAtOnce(3));
  await letAllGo();
});
