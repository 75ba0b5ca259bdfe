// How far the scoring is, in a bar and in words; what failed and why; and how to stop and to go on.

import { make } from "./gallery_grid.js";

/** @typedef {import("./gallery_queue.js").Entry} Entry */

// A screen reader hears of it no more often, nor of less than a tenth.
const QUIET_MS = 6000;

/** The progress of a gallery. */
export class GalleryProgress {
  #entries;
  #queue;
  #bar = make("progress", { id: "gallery-progress", "aria-labelledby": "gallery-words" });
  #words = make("p", { id: "gallery-words" });
  #live = make("p", { id: "gallery-live", role: "status", className: "unseen" });
  #stop = make("button", { type: "button", id: "gallery-cancel", onclick: () => this.#stopOrGoOn() });
  #now = make("button", { type: "button", id: "gallery-now", hidden: true }, "Try now");
  #again = make("button", { type: "button", id: "gallery-again" }, "Try the failed ones again");
  #why = make("button", { type: "button", id: "gallery-why", "aria-expanded": false, "aria-controls": "gallery-failures" });
  #failures = make("ul", { id: "gallery-failures", hidden: true });
  #listed = null;
  #told = { at: 0, share: 0, phase: "running" };
  #clock;

  /**
   * @param {Entry[]} entries
   * @param {import("./gallery_queue.js").ScoringQueue} queue
   * @param {(failed: Entry[]) => void} retry is called with those to be tried again
   */
  constructor(entries, queue, retry) {
    this.#entries = entries;
    this.#queue = queue;
    this.#bar.max = entries.length;
    this.#now.onclick = () => queue.resume();
    this.#again.onclick = () => retry(this.#failed);
    this.#why.onclick = () => this.#why.setAttribute("aria-expanded", !(this.#failures.hidden = !this.#failures.hidden));
    this.element = make(
      "div",
      { id: "gallery-state" },
      this.#bar,
      make("div", { className: "row" }, this.#words, this.#why, this.#now, this.#again, this.#stop),
      this.#failures,
      this.#live,
    );
    // Seconds go by although nothing else happens.
    this.#clock = setInterval(() => queue.phase !== "done" && this.draw(), 1000);
  }

  /** Say something to screen readers now. @param {string} words */
  announce(words) {
    this.#live.textContent = words;
    this.#told.at = performance.now();
  }

  /** Stop counting seconds. */
  close() {
    clearInterval(this.#clock);
  }

  get #failed() {
    return this.#entries.filter((entry) => entry.status === "failed");
  }

  /** Write how things are. */
  draw() {
    const { phase } = this.#queue;
    const failed = this.#failed;
    const ok = this.#entries.filter((entry) => entry.status === "ok").length;
    const words = this.#say(phase, ok, failed.length);
    this.#bar.value = ok + failed.length;
    this.#words.textContent = words;
    this.#stop.hidden = phase === "done";
    this.#stop.textContent = phase === "stopped" ? "Go on" : "Cancel";
    this.#now.hidden = phase !== "unreachable" && phase !== "locked";
    this.#again.hidden = !failed.length || (phase !== "done" && phase !== "stopped");
    this.#listFailures(failed);
    const share = Math.floor((10 * (ok + failed.length)) / this.#entries.length);
    const due = performance.now() - this.#told.at > QUIET_MS && share !== this.#told.share;
    if (phase === this.#told.phase && !due) return;
    this.#told = { share, phase, at: performance.now() };
    this.announce(words);
  }

  #say(phase, ok, failed) {
    const all = this.#entries.length;
    const parts = [`${ok} of ${all} scored`];
    if (failed) parts.push(`${failed} failed`);
    const pause = Math.ceil(this.#queue.pause);
    const left = this.#queue.secondsLeft;
    if (phase === "running" && left !== null) parts.push(`about ${duration(left)} left`);
    if (phase === "stopped") parts.push("stopped");
    const counted = parts.join(", ");
    if (phase === "busy") return `${counted}. The service is busy: going on in ${pause} s.`;
    if (phase === "unreachable") return `${counted}. The service can’t be reached: ${pause ? `trying again in ${pause} s` : "trying again"}.`;
    if (phase === "locked") return `${counted}. The service asks for a key.`;
    return counted;
  }

  #listFailures(failed) {
    const key = failed.map((entry) => entry.index).join();
    if (key === this.#listed) return;
    this.#listed = key;
    this.#why.hidden = !failed.length;
    this.#why.textContent = `${failed.length} failed: why?`;
    this.#failures.replaceChildren(
      ...failed.map((entry) => make("li", {}, make("b", {}, entry.name), ` ${entry.problem.detail}`)),
    );
  }

  #stopOrGoOn() {
    if (this.#queue.phase === "stopped") this.#queue.resume();
    else this.#queue.stop();
  }
}

function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.round(seconds / 60)} min`;
}
