/** Small pictures, drawn when they come near and given up when they are far: a thousand fit into memory. */

const AT_A_TIME = 2;
const A_FRAME = 8;
const KEPT = 200;

export class Thumbs {
	#side = devicePixelRatio > 1 ? 256 : 160;
	#entries = new Map();
	#near = new Set();
	#drawn = new Map();
	#decoding = 0;
	#ready = [];
	#observer = new IntersectionObserver((seen) => {
		for (const { target, isIntersecting } of seen) this.#near[isIntersecting ? "add" : "delete"](target);
		this.next();
	}, { rootMargin: "500px 0px" });

	/** Draw this picture into this element when it comes near. */
	watch(/** @type {Element} */ element, /** @type {import("./gallery_queue.js").Entry} */ entry) {
		this.#entries.set(element, entry);
		this.#observer.observe(element);
	}

	/** Decode those that are near and were scored: of others nobody knows how many pixels they have. */
	next() {
		for (const element of this.#near) {
			if (this.#decoding >= AT_A_TIME) return;
			if (this.#entries.get(element).status === "ok" && !this.#drawn.has(element)) this.#decode(element);
		}
	}

	/** Give them up. */
	close() {
		this.#observer.disconnect();
		this.#near.clear();
		for (const element of this.#drawn.keys()) this.#release(element);
	}

	async #decode(element) {
		const canvas = document.createElement("canvas");
		const { file, classification } = this.#entries.get(element);
		const { width, height } = classification.image;
		const short = Math.min(this.#side, width, height);
		this.#drawn.set(element, canvas);
		this.#decoding += 1;
		try {
			const size = width < height ? { resizeWidth: short } : { resizeHeight: short };
			this.#ready.push([element, canvas, await createImageBitmap(file, { ...size, resizeQuality: "medium" })]);
			if (this.#ready.length === 1) requestAnimationFrame(() => this.#draw());
		} catch {
			element.classList.add("no-preview");
		}
		this.#decoding -= 1;
		this.next();
	}

	#draw() {
		for (const [element, canvas, bitmap] of this.#ready.splice(0, A_FRAME)) {
			if (this.#drawn.get(element) !== canvas) {
				bitmap.close();
				continue;
			}
			Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
			canvas.getContext("bitmaprenderer").transferFromImageBitmap(bitmap);
			element.replaceChildren(canvas);
		}
		if (this.#ready.length) requestAnimationFrame(() => this.#draw());
		for (const element of this.#drawn.keys()) {
			if (this.#drawn.size <= KEPT) return;
			if (!this.#near.has(element)) this.#release(element);
		}
	}

	#release(element) {
		const canvas = this.#drawn.get(element);
		this.#drawn.delete(element);
		canvas.remove();
		canvas.width = canvas.height = 0;
	}
}
