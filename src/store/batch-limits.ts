/** How many appends one commit takes at most. */
export const COMMIT_ROWS = 1_000;
/** How much text it takes at most if it is more than one append, UTF-16 code units. */
export const MAX_BATCH_LENGTH = 4_000_000;
/** How many appends may wait; one more is refused, so that a stalled disk or server does not fill the memory. */
export const MAX_WAITING = 20_000;
