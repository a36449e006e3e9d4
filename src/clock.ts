/**
 * Microseconds since the Unix epoch (Date has milliseconds): a monotonic clock laid on the wall clock, and laid anew
 * whenever the two part by more than 2 ms (after a correction of the system's time, say).
 */
export function systemClock(): () => number {
  let offsetMs = performance.timeOrigin;
  return () => {
    const wallMs = Date.now();
    let nowMs = offsetMs + performance.now();
    if (Math.abs(nowMs - wallMs) > 2) {
      offsetMs += wallMs - nowMs;
      nowMs = wallMs;
    }
    return Math.round(nowMs * 1000);
  };
}
