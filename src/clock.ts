/**
 * Returns a clock of microseconds since the Unix epoch. It is monotonic until it differs from the wall clock by more
 * than 2 ms, such as after a correction of the system's time. Then it resynchronizes.
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
