/** After how many changes the size of the WAL is looked at. */
const LOOK_EVERY = 1_000;
/**
 * From how many pages on the WAL is emptied: 32 MB. The more pages, the more often one that changed again is moved
 * once.
 */
const FULL = 8_000;
/** How many pages the writer moves between two commits without being missed. */
const FEW = 500;
const MAX_ROUNDS = 4;

/** Moves pages from the WAL into the file if it has so many, and resolves with how many are still to be moved. */
type Checkpoint = (fromPages: number) => Promise<number>;

/**
 * Empties the WAL while commits go on: `aside` moves what is there, in a thread for which no commit waits, and the
 * writer, `between` two commits, only what came meanwhile. It then starts the WAL anew, if no reader still needs it.
 * Call what is returned after each commit, with how many changes it took.
 */
export function createCheckpoints({
  aside,
  between,
}: {
  aside: Checkpoint;
  between: Checkpoint;
}): (rows: number) => void {
  let rows = 0;
  let isRunning = false;

  async function run(): Promise<void> {
    let left = await aside(FULL);
    for (let round = 1; left > FEW && round < MAX_ROUNDS; round++) left = await aside(0);
    if (left > 0) await between(0);
  }

  return (more) => {
    rows += more;
    if (isRunning || rows < LOOK_EVERY) return;
    rows = 0;
    isRunning = true;
    // What fails is tried again after more changes, and at last by the writer itself.
    run()
      .catch(() => {})
      .finally(() => {
        isRunning = false;
      });
  };
}
