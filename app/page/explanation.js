/** Where the network looked for an answer, laid over the picture. */

import { ApiProblem, decoded } from "./api.js";
import { html, part } from "./dom.js";
import { image } from "./picture.js";

/** How long something has to be pointed at before the service is asked, in milliseconds. */
const PAUSE_MS = 120;

/** Red, green and blue of the accent on dark ground. */
const TINT = [111, 211, 196];

/** @typedef {{answer: string, label: string}} What */

export class Overlay {
	/**
	 * @param {{ask: (answer: string, signal: AbortSignal) => Promise<import("./api.js").Classification>,
	 *          onRelease: () => void, onFailure: (error: unknown) => void}} calls
	 */
	constructor(calls) {
		this.canvas = part("overlay");
		this.legend = part("legend");
		this.calls = calls;
		/** Whether this network can say where it looked. */
		this.possible = true;
		this.asking = new AbortController();
		this.reset();
		part("loupe").addEventListener("click", calls.onRelease);
		// Where the picture is out of sight, a small one is shown beside what is pointed at.
		new IntersectionObserver(([{ intersectionRatio }]) => part("drop").classList.toggle("away", intersectionRatio < 0.6), { threshold: 0.6 }).observe(part("drop"));
	}

	/** Another picture is shown now. */
	reset() {
		this.kept = new Map();
		this.held = this.pointed = this.wanted = null;
		this.update();
	}

	/** Show an answer while it is pointed at; null: no longer. */
	point(what) {
		this.pointed = what;
		this.update();
	}

	/** Keep showing an answer; null: no longer. */
	hold(what) {
		this.held = what;
		this.update();
	}

	update() {
		const what = this.possible ? (this.pointed ?? this.held) : null;
		if (what && what.answer === this.wanted) return this.tell(what);
		clearTimeout(this.timer);
		this.asking.abort();
		this.wanted = what?.answer ?? null;
		if (!what) return this.clear();
		if (this.kept.has(what.answer)) return this.draw(what);
		this.timer = setTimeout(() => this.ask(what), PAUSE_MS);
	}

	async ask(what) {
		this.asking = new AbortController();
		const { signal } = this.asking;
		try {
			const { explanation } = await this.calls.ask(what.answer, signal);
			if (!explanation) throw new ApiProblem({ status: 422, code: "not_explainable", detail: "" });
			const drawn = { pixels: await pixelsOf(explanation.png), box: explanation.box };
			if (signal.aborted) return;
			this.kept.set(what.answer, drawn);
			this.draw(what);
		} catch (error) {
			if (signal.aborted) return;
			// Refused for one answer means refused for all.
			this.possible = error.status !== 422;
			this.wanted = null;
			this.clear();
			this.calls.onFailure(error);
		}
	}

	draw(what) {
		const { pixels, box } = this.kept.get(what.answer);
		Object.assign(this.canvas, { width: pixels.width, height: pixels.height, hidden: false });
		this.canvas.getContext("2d").putImageData(pixels, 0, 0);
		this.canvas.dataset.answer = what.answer;
		const sides = { left: image.naturalWidth, top: image.naturalHeight, width: image.naturalWidth, height: image.naturalHeight };
		for (const [side, whole] of Object.entries(sides)) this.canvas.style[side] = `${(100 * box[side]) / whole}%`;
		part("drop").classList.add("explained");
		this.repeat(what, pixels);
		this.tell(what);
	}

	/** The same once more, small. */
	repeat({ label }, pixels) {
		const small = image.parentElement.cloneNode(true);
		const [picture, canvas] = small.children;
		canvas.removeAttribute("id");
		canvas.getContext("2d").putImageData(pixels, 0, 0);
		picture.alt = "";
		part("loupe").setAttribute("aria-label", `Where the network looked for: ${label}. Press to take it away.`);
		part("loupe").replaceChildren(html("span", { class: "square" }, small), html("span", {}, "Looked here for: ", html("b", {}, label)));
	}

	/** Say in words what is shown. */
	tell({ answer, label }) {
		if (this.canvas.dataset.answer !== answer) return;
		const release = this.held?.answer === answer && html("button", {}, "Take away");
		if (release) release.addEventListener("click", this.calls.onRelease);
		const words = html("span", {}, "Where the network looked for: ", html("b", {}, label), html("span", { class: "quiet" }, " (brighter: more evidence, in eight views of what is in the frame)"));
		this.legend.replaceChildren(words, release || "");
		this.legend.hidden = false;
	}

	clear() {
		this.canvas.hidden = this.legend.hidden = true;
		delete this.canvas.dataset.answer;
		part("drop").classList.remove("explained");
	}
}

/** From grey: darkness where there is no evidence, the picture itself in between, and the accent where there is most. */
async function pixelsOf(png) {
	const bitmap = await createImageBitmap(decoded(png, "image/png"));
	const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
	context.drawImage(bitmap, 0, 0);
	const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height);
	for (let index = 0; index < pixels.data.length; index += 4) {
		const glow = pixels.data[index] / 255 - 0.35;
		pixels.data.set(glow > 0 ? [...TINT, (150 * glow) / 0.65] : [0, 0, 0, (-165 * glow) / 0.35], index);
	}
	return pixels;
}
