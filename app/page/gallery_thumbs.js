// Small pictures, drawn when they come near and given up when they are far: a thousand of them fit into memory.

const AT_A_TIME = 2;
const A_FRAME = 8;
const KEPT = 200;

/** Decodes pictures off the main thread and puts them into canvases. */
export class Thumbs {
  #side = devicePixelRatio > 1 ? 256 : 160;
  #near = new Set();
  #drawn = new Map();
  #decoding = 0;
  #ready = [];
  #observer;

  /** @param {(element: Element) => import("./gallery_queue.js").Entry} entryOf whose picture an element is for */
  constructor(entryOf) {
    this.entryOf = entryOf;
    this.#observer = new IntersectionObserver((seen) => this.#moved(seen), { rootMargin: "500px 0px" });
  }

  /** Draw into this element when it comes near. @param {Element} element */
  watch(element) {
    this.#observer.observe(element);
  }

  /** Its picture has been scored: draw it if it is near. @param {Element} element */
  refresh(element) {
    if (this.#near.has(element)) this.#next();
  }

  /** Give everything up. */
  close() {
    this.#observer.disconnect();
    this.#near.clear();
    for (const canvas of this.#drawn.values()) release(canvas);
    this.#drawn.clear();
  }

  #moved(seen) {
    for (const { target, isIntersecting } of seen) this.#near[isIntersecting ? "add" : "delete"](target);
    this.#next();
  }

  #next() {
    for (const element of this.#near) {
      if (this.#decoding >= AT_A_TIME) return;
      // Only what the service took: of other files nobody knows how many pixels they have.
      const { status, classification } = this.entryOf(element);
      if (status === "ok" && !this.#drawn.has(element)) this.#decode(element, classification.image);
    }
  }

  async #decode(element, { width, height }) {
    const canvas = document.createElement("canvas");
    this.#drawn.set(element, canvas);
    this.#decoding += 1;
    const short = Math.min(this.#side, width, height);
    const size = width < height ? { resizeWidth: short } : { resizeHeight: short };
    try {
      const bitmap = await createImageBitmap(this.entryOf(element).file, { ...size, resizeQuality: "medium" });
      this.#ready.push([element, canvas, bitmap]);
      if (this.#ready.length === 1) requestAnimationFrame(() => this.#draw());
    } catch {
      element.classList.add("no-preview");
    }
    this.#decoding -= 1;
    this.#next();
  }

  #draw() {
    for (const [element, canvas, bitmap] of this.#ready.splice(0, A_FRAME)) {
      if (this.#drawn.get(element) !== canvas) {
        bitmap.close();
        continue;
      }
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
      canvas.getContext("bitmaprenderer").transferFromImageBitmap(bitmap);
      element.replaceChildren(canvas);
    }
    if (this.#ready.length) requestAnimationFrame(() => this.#draw());
    this.#forget();
  }

  // The one that was drawn first goes first, if it is not near.
  #forget() {
    for (const [element, canvas] of this.#drawn) {
      if (this.#drawn.size <= KEPT) return;
      if (this.#near.has(element)) continue;
      this.#drawn.delete(element);
      release(canvas);
    }
  }
}

function release(canvas) {
  canvas.remove();
  canvas.width = canvas.height = 0;
}
