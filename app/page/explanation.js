/** Where the network looked for an answer, laid over the picture. */

import { ApiProblem, decoded } from "./api.js";
import { html } from "./dom.js";

/** How long something has to be pointed at before the service is asked, in milliseconds. */
const PAUSE_MS = 120;

export class Overlay {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLImageElement} image
   * @param {HTMLElement} legend
   * @param {{fetch: (answer: string, signal: AbortSignal) => Promise<import("./api.js").Classification>,
   *          onRelease: () => void, onImpossible: () => void, onFailure: (error: unknown) => void}} calls
   */
  constructor(canvas, image, legend, calls) {
    this.canvas = canvas;
    this.image = image;
    this.legend = legend;
    this.calls = calls;
    this.possible = true;
    /** @type {Map<string, {pixels: ImageData, box: import("./api.js").Explanation["box"]}>} */
    this.kept = new Map();
    /** @type {{answer: string, label: string}|null} */
    this.held = null;
    /** @type {{answer: string, label: string}|null} */
    this.pointed = null;
    /** @type {string|null} */
    this.wanted = null;
    this.asking = new AbortController();
    this.timer = 0;
  }

  /** Another picture is shown now. */
  reset() {
    this.kept.clear();
    this.held = this.pointed = null;
    this.update();
  }

  /**
   * Show an answer while it is pointed at; null: no longer.
   * @param {{answer: string, label: string}|null} what
   */
  point(what) {
    this.pointed = what;
    this.update();
  }

  /**
   * Keep showing an answer; null: no longer.
   * @param {{answer: string, label: string}|null} what
   */
  hold(what) {
    this.held = what;
    this.update();
  }

  update() {
    const what = this.possible ? (this.pointed ?? this.held) : null;
    if (what?.answer === this.wanted && what) return this.tell(what);
    clearTimeout(this.timer);
    this.asking.abort();
    this.wanted = what?.answer ?? null;
    if (!what) return this.clear();
    const kept = this.kept.get(what.answer);
    if (kept) return this.draw(what, kept);
    this.timer = setTimeout(() => this.ask(what), PAUSE_MS);
  }

  async ask(/** @type {{answer: string, label: string}} */ what) {
    this.asking = new AbortController();
    const { signal } = this.asking;
    const kept = this.kept;
    try {
      const { explanation } = await this.calls.fetch(what.answer, signal);
      if (!explanation) throw new ApiProblem({ status: 422, code: "not_explainable", detail: "" });
      const map = { pixels: await pixelsOf(explanation.png), box: explanation.box };
      if (signal.aborted || kept !== this.kept) return;
      kept.set(what.answer, map);
      this.draw(what, map);
    } catch (error) {
      if (signal.aborted) return;
      this.clear();
      this.wanted = null;
      if (!(error instanceof ApiProblem) || error.code !== "not_explainable") return this.calls.onFailure(error);
      this.possible = false;
      this.calls.onImpossible();
    }
  }

  draw(what, { pixels, box }) {
    const { naturalWidth: width, naturalHeight: height } = this.image;
    this.canvas.width = pixels.width;
    this.canvas.height = pixels.height;
    this.canvas.getContext("2d")?.putImageData(tinted(pixels), 0, 0);
    const percent = (/** @type {number} */ part, /** @type {number} */ whole) => `${(100 * part) / whole}%`;
    this.canvas.style.left = percent(box.left, width);
    this.canvas.style.top = percent(box.top, height);
    this.canvas.style.width = percent(box.width, width);
    this.canvas.style.height = percent(box.height, height);
    this.canvas.hidden = false;
    this.canvas.dataset.answer = what.answer;
    this.tell(what);
  }

  /** Say in words what is shown. */
  tell(/** @type {{answer: string, label: string}} */ what) {
    if (this.canvas.hidden || this.canvas.dataset.answer !== what.answer) return;
    const words = html("span", {}, "Where the network looked for: ", html("b", {}, what.label), html("span", { class: "quiet" }, " (brighter: more evidence)"));
    const release = this.held?.answer === what.answer && html("button", { type: "button" }, "Take away");
    if (release) release.addEventListener("click", () => this.calls.onRelease());
    this.legend.replaceChildren(words, release || "");
    this.legend.hidden = false;
  }

  clear() {
    this.canvas.hidden = true;
    delete this.canvas.dataset.answer;
    this.legend.hidden = true;
  }
}

/** The grey levels of a picture in base64. */
async function pixelsOf(/** @type {string} */ png) {
  const bitmap = await createImageBitmap(decoded(png, "image/png"));
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

/** Darkness where there is no evidence, the picture itself in between, and the accent where there is most. */
function tinted(/** @type {ImageData} */ pixels) {
  const [red, green, blue] = [111, 211, 196];
  const drawn = new ImageData(pixels.width, pixels.height);
  for (let index = 0; index < pixels.data.length; index += 4) {
    const evidence = pixels.data[index] / 255;
    const glow = Math.max(0, evidence - 0.35) / 0.65;
    const shade = Math.max(0, 0.35 - evidence) / 0.35;
    drawn.data.set(glow > 0 ? [red, green, blue, 150 * glow] : [0, 0, 0, 165 * shade], index);
  }
  return drawn;
}
