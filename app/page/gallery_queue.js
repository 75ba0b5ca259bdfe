// Scores many pictures, a few at a time, and as fast as the service likes: no picture is lost on the way.

// A browser opens six connections to a host: one is left for the galaxy that is looked at meanwhile.
const MOST_AT_A_TIME = 5;
const RUN_OF_SUCCESSES = 8;
const FIRST_PAUSE = 1;
const LONGEST_PAUSE = 30;
const MOST_TRIES = 5;
const PATIENCE_MS = 90_000;
const BUSY = new Set([429, 502, 503, 504]);
const UNREADABLE = "The file can't be read: perhaps it was moved or changed, or it is a folder.";
const NO_PICTURE = "This is no JPEG or PNG, going by its name and its first bytes, so it was not sent.";

/**
 * One picture of the gallery.
 * @typedef {object} Entry
 * @property {number} index its place in the order given
 * @property {string} name with the folder that it came in
 * @property {File} file
 * @property {"waiting" | "ok" | "failed"} status
 * @property {object | null} classification the service's answer, where the status is ok
 * @property {{code: string, detail: string} | null} problem where it failed
 * @property {number} tries that ended without an answer about the picture
 */

/**
 * running: under way; busy: the service asked for a pause; unreachable: nothing answers, tried again after a pause;
 * locked: it asks for a key; stopped: by the user; done: nothing is left.
 * @typedef {"running" | "busy" | "unreachable" | "locked" | "stopped" | "done"} Phase
 */

/** The pictures that wait for their scores, and what is under way. */
export class ScoringQueue {
  #score;
  #changed;
  #waiting = [];
  #running = new Set();
  #abort = new AbortController();
  #limit = MOST_AT_A_TIME;
  #successes = 0;
  #pauses = 0;
  #until = 0;
  #timer = 0;
  #answered = [];
  #phase = "done";

  /**
   * @param {(picture: Blob, signal: AbortSignal) => Promise<object>} score asks the service; fails with an ApiProblem
   * @param {(entry: Entry | null) => void} changed is called with each picture that is done, and with null when
   *   something else changed
   */
  constructor(score, changed) {
    this.#score = score;
    this.#changed = changed;
  }

  /** @returns {Phase} what it is doing */
  get phase() {
    return this.#phase;
  }

  /** @returns {number} seconds until it goes on by itself */
  get pause() {
    return Math.max(0, this.#until - performance.now()) / 1000;
  }

  /** @returns {number | null} seconds that the rest will take at the present rate; null: not known yet */
  get secondsLeft() {
    const times = this.#answered;
    const left = this.#waiting.length + this.#running.size;
    if (times.length < 5 || this.#phase !== "running") return null;
    return (left * (performance.now() - times[0])) / times.length / 1000;
  }

  /** Score these too. @param {Entry[]} entries */
  add(entries) {
    for (const entry of entries) Object.assign(entry, { status: "waiting", classification: null, problem: null, tries: 0 });
    this.#waiting.push(...entries);
    this.resume();
  }

  /** Stop; what is under way is given up, and waits again. */
  stop() {
    if (this.#phase === "done") return;
    this.#abort.abort();
    this.#take("stopped");
  }

  /** Cancel everything for good: nothing is told any more. */
  close() {
    this.#changed = () => {};
    this.#waiting.length = 0;
    this.stop();
  }

  /** Go on at once, after a stop or in a pause. */
  resume() {
    if (this.#abort.signal.aborted) this.#abort = new AbortController();
    this.#until = 0;
    this.#answered = [];
    this.#take("running");
    this.#fill();
  }

  #take(phase) {
    clearTimeout(this.#timer);
    this.#phase = phase;
    this.#changed(null);
  }

  get #halted() {
    return this.#phase === "stopped" || this.#phase === "locked";
  }

  #fill() {
    if (!this.#running.size && !this.#waiting.length && this.#phase !== "done") this.#take("done");
    if (this.#phase !== "running" && this.#phase !== "unreachable") return;
    if (this.pause > 0) return;
    // Of a service that didn't answer, one picture is enough to see whether it does now.
    const limit = this.#phase === "unreachable" ? 1 : this.#limit;
    while (this.#running.size < limit && this.#waiting.length) this.#run(this.#waiting.shift());
  }

  async #run(entry) {
    this.#running.add(entry);
    const { signal } = this.#abort;
    let problem = null;
    try {
      const picture = await read(entry.file);
      const either = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
      entry.classification = await this.#score(picture, either);
    } catch (error) {
      problem = error;
    }
    this.#running.delete(entry);
    if (signal.aborted && problem) this.#putBack(entry);
    else if (problem) this.#judge(entry, problem);
    else this.#done(entry, "ok", null);
    this.#fill();
  }

  #judge(entry, problem) {
    if (problem.code === "unreachable" || problem.name === "TimeoutError") this.#lost(entry, problem);
    else if (problem.status === 401) this.#locked(entry);
    else if (BUSY.has(problem.status)) this.#busy(entry, problem);
    else this.#done(entry, "failed", problem);
  }

  #done(entry, status, problem) {
    entry.status = status;
    entry.problem = problem && { code: problem.code ?? "unexpected", detail: problem.detail ?? String(problem.message) };
    this.#answered.push(performance.now());
    if (this.#answered.length > 40) this.#answered.shift();
    if (!(problem instanceof NotSent)) this.#reached();
    this.#changed(entry);
  }

  // The service said something about a picture: it is there, and has room.
  #reached() {
    this.#successes += 1;
    if (this.#phase === "unreachable") this.#take("running");
    if (this.#phase === "running") this.#pauses = 0;
    if (this.#successes % RUN_OF_SUCCESSES === 0) this.#limit = Math.min(MOST_AT_A_TIME, this.#limit + 1);
  }

  // What it asks holds for all, not only for the picture that it said it of.
  #busy(entry, problem) {
    entry.tries += problem.code === "deadline_exceeded" ? 1 : 0;
    if (entry.tries >= MOST_TRIES) return this.#done(entry, "failed", problem);
    this.#putBack(entry);
    if (this.#halted) return undefined;
    const first = this.#phase !== "busy";
    if (first) this.#limit = Math.max(1, this.#limit >> 1);
    this.#successes = 0;
    return this.#wait("busy", problem.retryAfterSeconds ?? this.#backoff(first));
  }

  // Others go first next time: were it the picture that ends the connection, it would hold up no one else.
  #lost(entry, problem) {
    entry.tries += 1;
    if (entry.tries >= MOST_TRIES && this.#successes && this.#phase === "running") {
      return this.#done(entry, "failed", problem);
    }
    this.#waiting.push(entry);
    if (this.#halted) return undefined;
    const first = this.#phase !== "unreachable" || this.pause === 0;
    return first ? this.#wait("unreachable", this.#backoff(first)) : undefined;
  }

  #locked(entry) {
    this.#putBack(entry);
    if (this.#phase !== "stopped") this.#take("locked");
  }

  #wait(phase, seconds) {
    // A little longer than asked: whoever comes too early isn't heard.
    this.#until = Math.max(this.#until, performance.now() + 1000 * seconds + 100 + 200 * Math.random());
    this.#take(phase);
    this.#timer = setTimeout(() => {
      this.#answered = [];
      if (phase === "busy") this.#take("running");
      this.#fill();
    }, this.#until - performance.now());
  }

  #backoff(first) {
    if (first) this.#pauses += 1;
    return Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (this.#pauses - 1));
  }

  #putBack(entry) {
    const before = this.#waiting.findIndex((other) => other.index > entry.index);
    this.#waiting.splice(before < 0 ? this.#waiting.length : before, 0, entry);
  }
}

class NotSent extends Error {
  constructor(code, detail) {
    super(detail);
    Object.assign(this, { code, detail });
  }
}

// Bytes, not the file: were it gone when it is sent, that would look like a service that is gone.
async function read(file) {
  let bytes;
  try {
    if (!named(file) && !(await begins(file))) throw new NotSent("not_an_image", NO_PICTURE);
    bytes = await file.arrayBuffer();
  } catch (error) {
    throw error instanceof NotSent ? error : new NotSent("unreadable_file", UNREADABLE);
  }
  return new Blob([bytes], { type: file.type || "application/octet-stream" });
}

const named = (file) => /^image\/(jpeg|png)$/.test(file.type) || /\.(jpe?g|jpe|jfif|png)$/i.test(file.name);

async function begins(file) {
  const [a, b, c, d] = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  return (a === 0xff && b === 0xd8 && c === 0xff) || (a === 0x89 && b === 0x50 && c === 0x4e && d === 0x47);
}
