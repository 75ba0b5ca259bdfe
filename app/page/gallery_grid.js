/** The pictures of a gallery: a list of buttons, one stop of the Tab key, in which arrow keys go on. */

import { html } from "./dom.js";
import { shortWords, value } from "./gallery_filter.js";
import { Thumbs } from "./gallery_thumbs.js";

/** @typedef {import("./gallery_queue.js").Entry} Entry */

// Above it the service's summary begins with a warning.
const UNLIKE = 0.5;

export class Grid {
	element = html("ul", { id: "gallery-grid", class: "night", role: "list", "aria-label": "Galaxies", "aria-describedby": "gallery-keys" });
	#tree;
	#labels;
	#cells = new Map();
	#entries = new Map();
	#stale = new Set();
	#shown = [];
	#key = "";
	#current;
	#thumbs = new Thumbs();

	/** @param {(entry: Entry) => void} onChoose Gets what was clicked and isn't waiting. */
	constructor(tree, onChoose) {
		this.#tree = tree;
		this.#labels = new Map(tree.questions.flatMap(({ answers }) => answers.map(({ id, label }) => [id, label])));
		this.#labels.set("out_of_domain", "unlike");
		const of = ({ target }) => this.#entries.get(target.closest("button"));
		this.element.addEventListener("click", (event) => of(event) && of(event).status !== "waiting" && onChoose(of(event)));
		this.element.addEventListener("focusin", (event) => this.#stopAt(of(event)));
		this.element.addEventListener("keydown", (event) => this.#press(event));
	}

	/** Make cells for these, once. */
	add(/** @type {Entry[]} */ entries) {
		const empty = html("li", {}, html("button", { tabindex: -1 },
			html("span", { class: "picture" }), html("span", { class: "name" }), html("span", { class: "words" })));
		for (const entry of entries) {
			const cell = /** @type {Element} */ (empty.cloneNode(true));
			const button = cell.firstElementChild;
			this.#cells.set(entry, cell);
			this.#entries.set(button, entry);
			this.#thumbs.watch(button.firstElementChild, entry);
			this.#stale.add(entry);
		}
	}

	/** `flush` is to write it. */
	update(/** @type {Entry} */ entry) {
		this.#stale.add(entry);
	}

	/** Write what has changed: once a frame, however much it is. */
	flush() {
		for (const entry of this.#stale) this.#write(entry);
		this.#stale.clear();
		this.#thumbs.next();
	}

	/** Show these in this order, each with the number that it is sorted by. */
	show(/** @type {Entry[]} */ entries, /** @type {string} */ key) {
		if (key !== this.#key) this.#stale = new Set(this.#cells.keys());
		this.#key = key;
		this.flush();
		if (entries.length === this.#shown.length && entries.every((entry, at) => entry === this.#shown[at])) return;
		this.#shown = entries;
		const focused = this.element.contains(document.activeElement);
		this.element.replaceChildren(...entries.map((entry) => this.#cells.get(entry)));
		if (!entries.includes(this.#current)) this.#stopAt(entries[0]);
		if (focused) this.focus();
	}

	/** Focus what was focused last. */
	focus(scroll = false) {
		this.#button(this.#current)?.focus({ preventScroll: !scroll });
	}

	/** Give up the pictures. */
	close() {
		this.#thumbs.close();
	}

	#button(entry) {
		return this.#cells.get(entry)?.firstElementChild;
	}

	#stopAt(entry) {
		this.#button(this.#current)?.setAttribute("tabindex", "-1");
		this.#current = entry;
		this.#button(entry)?.setAttribute("tabindex", "0");
	}

	#press(event) {
		if (event.ctrlKey || event.altKey || event.metaKey) return;
		const columns = getComputedStyle(this.element).gridTemplateColumns.split(" ").length;
		const at = this.#shown.indexOf(this.#current);
		const last = this.#shown.length - 1;
		const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns, ArrowUp: at - columns, Home: 0, End: last }[event.key];
		if (to === undefined) return;
		event.preventDefault();
		if (to < 0 || to > last) return;
		this.#stopAt(this.#shown[to]);
		this.focus(true);
	}

	#write(entry) {
		const button = this.#button(entry);
		const [picture, name, words] = button.children;
		const { status, classification, problem } = entry;
		const unlike = classification?.out_of_domain > UNLIKE;
		let said = problem ? `failed: ${problem.detail}` : "waiting";
		if (classification) said = shortWords(classification, this.#tree);
		const number = value(entry, this.#key);
		const sortedBy = number === null ? "" : `${this.#labels.get(this.#key)} ${number.toFixed(2)}`;
		const told = [entry.name, said, sortedBy, unlike && "unlike the training galaxies"].filter(Boolean).join(", ");
		button.dataset.status = status;
		button.classList.toggle("unlike", unlike);
		button.setAttribute("aria-disabled", status === "waiting");
		button.setAttribute("aria-label", problem ? `${told} Press to try again.` : told);
		button.title = classification?.summary ? `${entry.name}: ${classification.summary}` : told;
		// Text that is set is laid out again, even if it is the same.
		if (words.textContent !== said) [name.textContent, words.textContent] = [entry.name.split("/").at(-1), said];
		picture.dataset.value = sortedBy;
	}
}
