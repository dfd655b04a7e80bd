// slices.js - what need not be done at once is done a little at a time: jobs in
// their order, a few milliseconds of each frame.  Where the machine is slow a
// slice is less work, not longer.
const SLICE_MS = 5;
const jobs = new Set();
let frame = 0;

// A job that waits already is not done twice; one that has more to do asks again.
export function soon(job) {
  jobs.add(job);
  frame ||= requestAnimationFrame(work);
}

function work() {
  const end = performance.now() + SLICE_MS;
  try {
    for (const job of jobs) {
      jobs.delete(job);
      job();
      if (performance.now() >= end) break;
    }
  } finally {
    frame = jobs.size > 0 ? requestAnimationFrame(work) : 0;
  }
}

// What comes after it is a task of its own.
export const nextTask = () => new Promise(done => setTimeout(done));
