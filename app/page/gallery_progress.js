/** How far the scoring is, in a bar and in words; what failed and why; to stop and to go on. */

import { html } from "./dom.js";
import { button } from "./gallery_controls.js";

// A screen reader hears of it no more often, and only of every tenth.
const QUIET_MS = 6000;

export class Progress {
	#entries;
	#queue;
	#bar;
	#words = html("p", { id: "gallery-words" });
	#live = html("p", { id: "gallery-live", role: "status", class: "sr" });
	#failures = html("ul", { id: "gallery-failures", tabindex: 0, "aria-label": "What failed", hidden: true });
	#why = button("gallery-why", "", () => this.#why.setAttribute("aria-expanded", String(!(this.#failures.hidden = !this.#failures.hidden))));
	#now = button("gallery-now", "Try now", () => this.#queue.resume());
	#again = button("gallery-again", "Try the failed ones again", () => this.#queue.add(this.#failed));
	#stop = button("gallery-cancel", "Cancel", () => (this.#queue.phase === "stopped" ? this.#queue.resume() : this.#queue.stop()));
	#listed = "-";
	#told = { at: 0, tenth: 0, phase: "running" };
	// Seconds go by although nothing else happens.
	#clock = setInterval(() => this.#queue.phase !== "done" && this.draw(), 1000);

	constructor(/** @type {import("./gallery_queue.js").Entry[]} */ entries, /** @type {import("./gallery_queue.js").ScoringQueue} */ queue) {
		this.#entries = entries;
		this.#queue = queue;
		this.#bar = html("progress", { id: "gallery-progress", max: entries.length, value: 0, "aria-labelledby": "gallery-words" });
		this.#why.setAttribute("aria-expanded", "false");
		const row = html("div", { class: "row" }, this.#words, this.#why, this.#now, this.#again, this.#stop);
		this.element = html("div", { id: "gallery-state" }, this.#bar, row, this.#failures, this.#live);
	}

	/** Say it to screen readers now. */
	announce(/** @type {string} */ words) {
		this.#live.textContent = words;
		this.#told.at = performance.now();
	}

	/** Stop the clock. */
	close() {
		clearInterval(this.#clock);
	}

	get #failed() {
		return this.#entries.filter(({ status }) => status === "failed");
	}

	/** Write how things are. */
	draw() {
		const { phase } = this.#queue;
		const failed = this.#failed;
		const ok = this.#entries.filter(({ status }) => status === "ok").length;
		const words = this.#say(phase, ok, failed.length);
		this.#bar.value = ok + failed.length;
		this.#words.textContent = words;
		this.#stop.hidden = phase === "done";
		this.#stop.textContent = phase === "stopped" ? "Go on" : "Cancel";
		this.#now.hidden = phase !== "unreachable" && phase !== "locked";
		this.#again.hidden = !failed.length || !["done", "stopped"].includes(phase);
		this.#list(failed);
		const tenth = Math.floor((10 * (ok + failed.length)) / this.#entries.length);
		if (phase === this.#told.phase && (tenth === this.#told.tenth || performance.now() - this.#told.at < QUIET_MS)) return;
		this.#told = { tenth, phase, at: 0 };
		this.announce(words);
	}

	#say(phase, ok, failed) {
		const left = this.#queue.secondsLeft;
		const pause = Math.round(this.#queue.pause);
		const counted = `${ok} of ${this.#entries.length} scored${failed ? `, ${failed} failed` : ""}`;
		if (phase === "busy") return `${counted}. The service is busy: going on in ${pause || 1} s`;
		if (phase === "unreachable") return `${counted}. The service does not answer: trying again${pause ? ` in ${pause} s` : ""}`;
		if (phase === "locked") return `${counted}. The service asks for a key`;
		if (phase === "stopped") return `${counted}, the rest cancelled`;
		if (left === null) return counted;
		return `${counted}, about ${left < 90 ? `${Math.ceil(left)} s` : `${Math.round(left / 60)} min`} left`;
	}

	#list(failed) {
		const key = failed.map(({ index }) => index).join();
		if (key === this.#listed) return;
		this.#listed = key;
		this.#why.hidden = !failed.length;
		this.#why.textContent = `${failed.length} failed: why?`;
		if (!failed.length) this.#failures.hidden = true;
		this.#failures.replaceChildren(...failed.map(({ name, problem }) => html("li", {}, html("b", {}, name), ` ${problem.detail}`)));
	}
}
