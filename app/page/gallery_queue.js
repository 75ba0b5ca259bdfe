/** Scores many pictures, a few at a time, as fast as the service likes; none is lost on the way. */

// A browser opens six connections to a host: one is left for the galaxy that is looked at meanwhile.
const MOST = 5;
const RUN = 8;
const LONGEST_PAUSE = 30;
const TRIES = 5;
const PATIENCE_MS = 90_000;
const BUSY = new Set([429, 502, 503, 504]);

/**
 * @typedef {{index: number, name: string, file: File, status: "waiting"|"ok"|"failed", tries: number,
 *   classification?: import("./api.js").Classification|null, problem?: {code: string, detail: string}|null}} Entry
 *   One picture; `tries` said nothing about it.
 * @typedef {"running"|"busy"|"unreachable"|"locked"|"stopped"|"done"} Phase locked: the service wants a key.
 */

export class ScoringQueue {
	phase = "done";
	#score;
	#changed;
	#waiting = [];
	#running = 0;
	#abort = new AbortController();
	#limit = MOST;
	#successes = 0;
	#pauses = 0;
	#until = 0;
	#timer = 0;
	#times = [];

	/** @param {(entry?: Entry) => void} changed Gets the picture that changed, or nothing if something else did. */
	constructor(score, changed) {
		this.#score = score;
		this.#changed = changed;
	}

	/** @returns {number} Seconds until it goes on by itself. */
	get pause() {
		return Math.max(0, this.#until - performance.now()) / 1000;
	}

	/** @returns {number|null} Seconds that the rest takes at the present rate, once that is known. */
	get secondsLeft() {
		const { length } = this.#times;
		if (length < 5 || this.phase !== "running") return null;
		return ((this.#waiting.length + this.#running) * (performance.now() - this.#times[0])) / length / 1000;
	}

	/** Score these, too. */
	add(entries) {
		for (const entry of entries) Object.assign(entry, { status: "waiting", classification: null, problem: null, tries: 0 });
		this.#waiting.push(...entries);
		for (const entry of entries) this.#changed(entry);
		// A service that asked for a pause gets it.
		if (this.phase !== "busy") this.resume();
	}

	/** Give up what is under way; it waits again. */
	stop() {
		if (this.phase === "done") return;
		this.#abort.abort();
		this.#enter("stopped");
	}

	/** Go on at once, after a stop or in a pause. */
	resume() {
		if (this.#abort.signal.aborted) this.#abort = new AbortController();
		this.#until = 0;
		this.#times = [];
		this.#enter("running");
		this.#fill();
	}

	/** Cancel all for good. */
	close() {
		this.#changed = () => {};
		this.#waiting = [];
		this.stop();
	}

	#enter(phase) {
		clearTimeout(this.#timer);
		this.phase = phase;
		this.#changed();
	}

	#fill() {
		if (!this.#running && !this.#waiting.length && this.phase !== "done") this.#enter("done");
		if (!["running", "unreachable"].includes(this.phase) || this.pause > 0) return;
		// One picture is enough to see whether a service answers again.
		const limit = this.phase === "running" ? this.#limit : 1;
		while (this.#running < limit && this.#waiting.length) this.#run(this.#waiting.shift());
	}

	async #run(entry) {
		const { signal } = this.#abort;
		this.#running += 1;
		try {
			const picture = await read(entry.file);
			// A pause may have begun meanwhile.
			if (this.pause) this.#putBack(entry);
			else {
				entry.classification = await this.#score(picture, AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]));
				this.#done(entry, null);
			}
		} catch (problem) {
			if (signal.aborted) this.#putBack(entry);
			else this.#judge(entry, problem);
		}
		this.#running -= 1;
		this.#fill();
	}

	#judge(entry, problem) {
		const lost = problem.code === "unreachable" || problem.name === "TimeoutError";
		if (lost || problem.code === "deadline_exceeded") entry.tries += 1;
		// If others get through, it is this picture that doesn't.
		const hopeless = entry.tries >= TRIES && (!lost || this.phase === "running");
		const first = this.phase === "running" || this.pause === 0;
		if (hopeless || !(lost || problem.status === 401 || BUSY.has(problem.status))) return this.#done(entry, problem);
		if (lost) this.#waiting.push(entry);
		else this.#putBack(entry);
		if (this.phase === "stopped" || this.phase === "locked") return undefined;
		if (problem.status === 401) return this.#enter("locked");
		// What is asked for one holds for all; but all that were under way count as one.
		if (first) this.#pauses += 1;
		if (first && !lost) this.#limit = Math.max(1, this.#limit >> 1);
		if (!lost) this.#successes = 0;
		const pause = Math.min(LONGEST_PAUSE, 2 ** (this.#pauses - 1));
		return lost && !first ? undefined : this.#wait(lost ? "unreachable" : "busy", problem.retryAfterSeconds ?? pause);
	}

	#wait(phase, seconds) {
		// A little longer than asked: whoever comes too early isn't heard.
		this.#until = Math.max(this.#until, performance.now() + 1000 * seconds + 100 + 200 * Math.random());
		this.#enter(phase);
		const goOn = () => {
			this.#until = 0;
			this.#times = [];
			if (phase === "busy") this.#enter("running");
			this.#fill();
		};
		this.#timer = setTimeout(goOn, this.#until - performance.now());
	}

	#done(entry, problem) {
		entry.status = problem ? "failed" : "ok";
		entry.problem = problem && { code: problem.code ?? "unexpected", detail: problem.detail ?? String(problem) };
		this.#times.push(performance.now());
		if (this.#times.length > 40) this.#times.shift();
		if (!problem?.unsent) {
			this.#successes += 1;
			if (this.phase === "unreachable") this.#enter("running");
			if (this.phase === "running") this.#pauses = 0;
			if (this.#successes % RUN === 0) this.#limit = Math.min(MOST, this.#limit + 1);
		}
		this.#changed(entry);
	}

	#putBack(entry) {
		const before = this.#waiting.findIndex((other) => other.index > entry.index);
		this.#waiting.splice(before < 0 ? this.#waiting.length : before, 0, entry);
	}
}

const unsent = (code, detail) => Object.assign(new Error(detail), { code, detail, unsent: true });

// Bytes, not the file: were it gone when it is sent, that would look like a service that is gone.
async function read(file) {
	let bytes;
	try {
		bytes = await file.arrayBuffer();
	} catch {
		throw unsent("unreadable_file", "The file can't be read: it was moved or changed, or is a folder.");
	}
	const [a, b, c] = new Uint8Array(bytes.slice(0, 3));
	const begun = (a === 0xff && b === 0xd8 && c === 0xff) || (a === 0x89 && b === 0x50 && c === 0x4e);
	if (!begun && !/^image\/(jpeg|png)$/.test(file.type) && !/\.(jpe?g|jpe|jfif|png)$/i.test(file.name)) {
		throw unsent("not_an_image", "This is no JPEG or PNG picture, so it was not sent.");
	}
	return new Blob([bytes], { type: file.type });
}
