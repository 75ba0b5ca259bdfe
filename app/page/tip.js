/** What is said of a question that is pointed at: its wording, and each answer's votes. */

import { html } from "./dom.js";
import { decimals, percent } from "./words.js";

/** How long a pointer may take from what it pointed at to the tip, in milliseconds. */
const LINGER_MS = 250;

export class Tip {
	/** @param {HTMLElement} element Lies in a box that is positioned. */
	constructor(element) {
		this.element = element;
		this.timer = 0;
		this.described = null;
		element.addEventListener("pointerenter", () => clearTimeout(this.timer));
		element.addEventListener("pointerleave", () => this.hideSoon());
		/** What the pointer came to last, if that is what points. */
		this.at = null;
		document.addEventListener("pointerover", (event) => (this.at = event), true);
		document.addEventListener("keydown", (event) => {
			this.at = null;
			if (event.key === "Escape") this.hide();
		});
	}

	/**
	 * @param {string} answer The one that is pointed at.
	 * @param {Element} node The question's; what the tip describes.
	 * @param {Set<string>} path The answers of the likeliest path.
	 */
	show(question, answer, node, path, voters) {
		clearTimeout(this.timer);
		const errors = question.answers.some(({ uncertainty }) => uncertainty !== undefined);
		const row = (one) => {
			const marks = [one.id === answer ? "pointed" : "", path.has(one.id) ? "likeliest" : ""].join(" ").trim();
			return html(
				"tr",
				{ class: marks || null },
				html("th", { scope: "row" }, one.label, path.has(one.id) && html("span", { class: "sr" }, " (likeliest path)")),
				html("td", {}, percent(one.fraction)),
				html("td", {}, decimals(one.score)),
				errors && html("td", {}, `± ${decimals(one.uncertainty)}`),
			);
		};
		const column = (words) => html("th", { scope: "col" }, words);
		this.element.replaceChildren(
			html("p", { class: "asked" }, html("b", {}, question.id), ` ${question.text}`),
			html("p", { class: "quiet" }, `${percent(question.weight)} of all ${voters} get here.`),
			html(
				"table",
				{},
				html("thead", {}, html("tr", {}, column("Answer"), column("Fraction"), column("Score"), errors && column("Error"))),
				html("tbody", {}, ...question.answers.map(row)),
			),
		);
		this.describe(node);
		this.element.hidden = false;
		this.place(node);
	}

	/** Beside the question, and within what holds both. */
	place(node) {
		const box = (this.element.offsetParent ?? document.body).getBoundingClientRect();
		const bar = (node.querySelector(".bar") ?? node).getBoundingClientRect();
		const { offsetWidth: width, offsetHeight: height } = this.element;
		const clamp = (value, most) => Math.max(0, Math.min(value, most));
		const wide = bar.height > bar.width;
		const before = bar.left - box.left;
		// Beyond its labels, or where there is less room there before it.
		const left = !wide ? before : before < box.width / 2 ? before + 150 : before - width - 12;
		const top = wide ? bar.top - box.top + bar.height / 2 - height / 2 : bar.bottom - box.top + 52;
		const x = clamp(left, box.width - width);
		let y = clamp(top, wide ? box.height - height : Infinity);
		// Not under the pointer, which would no longer point at the branch then.
		const py = this.at?.clientY - box.top;
		const covers = Math.abs(this.at?.clientX - box.left - x - width / 2) < width / 2 + 8 && Math.abs(py - y - height / 2) < height / 2 + 8;
		if (covers) y = py + 20 + height > box.height && py > height ? py - 20 - height : py + 20;
		Object.assign(this.element.style, { left: `${x}px`, top: `${y}px` });
	}

	describe(node) {
		this.described?.removeAttribute("aria-describedby");
		node?.setAttribute("aria-describedby", this.element.id);
		this.described = node;
	}

	hideSoon() {
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.hide(), LINGER_MS);
	}

	hide() {
		clearTimeout(this.timer);
		this.describe(null);
		this.element.hidden = true;
	}
}
