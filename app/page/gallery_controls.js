/** What is chosen above the pictures: the order, the filter, and what is saved. */

import { html } from "./dom.js";
import { filterWords, presetName, presetsOf } from "./gallery_filter.js";

const OWN = "own";
const TURNS = { order: ["first to last", "last to first"], name: ["A to Z", "Z to A"] };
const NUMBERS = ["lowest first", "highest first"];

/** A button that does something. */
export function button(/** @type {string} */ id, /** @type {string} */ words, /** @type {() => void} */ does) {
	const made = html("button", { id }, words);
	made.addEventListener("click", does);
	return made;
}

function select(id, words, options, does) {
	const made = html("select", { id }, ...options);
	made.addEventListener("change", () => does(made.value));
	return [made, html("div", {}, html("label", { for: id }, words), made)];
}

export class Controls {
	filter = { answers: new Set(), least: 0 };
	order = { key: "order", descending: false };
	#tree;
	#changed;
	#preset;
	#turn;
	#boxes;
	#least = html("input", { id: "gallery-least", type: "number", min: 0, max: 1, step: 0.05, value: 0 });
	#only = html("input", { id: "save-shown", type: "checkbox", checked: true });
	#builder;
	#count = html("p", { id: "gallery-count" });

	/** @param {() => void} changed Is called when the order or the filter is another. */
	constructor(tree, changed, save) {
		this.#tree = tree;
		this.#changed = changed;
		const presets = [new Option("all galaxies", ""), ...presetsOf(tree).map(([words]) => new Option(words)), new Option("answers of your choice", OWN)];
		const keys = [new Option("the order given", "order"), new Option("name", "name"), new Option("how unlike the training galaxies", "out_of_domain")];
		const scores = tree.questions.map(({ text, answers }) =>
			html("optgroup", { label: text }, ...answers.map(({ id, label }) => new Option(`${label} (${id})`, id))));
		const [preset, show] = select("gallery-filter", "Show", presets, (words) => this.#choose(words));
		const [, sort] = select("gallery-sort", "Sort by", [...keys, ...scores], (key) => this.#order(key, !(key in TURNS)));
		const [turn, order] = select("gallery-direction", "Order", [], (way) => this.#order(this.order.key, way === "down"));
		const questions = tree.questions.map(({ text, answers }) =>
			html("fieldset", {}, html("legend", {}, text), ...answers.map(({ id, label }) =>
				html("label", {}, html("input", { type: "checkbox", value: id }), label))));
		this.#preset = preset;
		this.#turn = turn;
		this.#builder = html("details", { id: "gallery-builder" }, html("summary", {}, "Choose answers"), html("div", { class: "answers" },
			html("p", {}, "The likeliest path must hold one of the ticked answers of each question."), ...questions,
			html("p", {}, html("label", { for: "gallery-least" }, "Vote fraction of each, at least"), this.#least)));
		this.#boxes = [...this.#builder.querySelectorAll("[type=checkbox]")];
		this.#builder.addEventListener("input", () => this.#pick());
		const saver = (ending) => button(`save-${ending}`, `Save as ${ending.toUpperCase()}`, () => save(ending, this.#only.checked));
		this.element = html("div", { id: "gallery-controls" },
			html("div", { class: "row" }, show, sort, order,
				html("span", { class: "save", role: "group", "aria-label": "Save the table" }, saver("csv"), saver("json"),
					html("label", {}, this.#only, "only those shown"))),
			this.#builder, this.#count);
		this.#turns();
	}

	/** Say how many are shown; return the words. */
	say(/** @type {number} */ shown, /** @type {number} */ all) {
		const words = filterWords(this.filter, this.#tree);
		this.#count.textContent = words ? `${shown} of ${all}: ${words}` : `All ${all} shown`;
		return this.#count.textContent;
	}

	#choose(words) {
		if (words === OWN) return void (this.#builder.open = true);
		const answers = presetsOf(this.#tree).find(([name]) => name === words)?.[1] ?? [];
		for (const box of this.#boxes) box.checked = answers.includes(box.value);
		this.#least.value = "0";
		return this.#pick();
	}

	#pick() {
		const answers = new Set(this.#boxes.filter((box) => box.checked).map((box) => box.value));
		this.filter = { answers, least: Math.min(1, Math.max(0, this.#least.valueAsNumber || 0)) };
		this.#preset.value = answers.size ? (presetName(answers, this.#tree) ?? OWN) : "";
		this.#changed();
	}

	#order(key, descending) {
		this.order = { key, descending };
		this.#turns();
		this.#changed();
	}

	#turns() {
		const [up, down] = TURNS[this.order.key] ?? NUMBERS;
		this.#turn.replaceChildren(new Option(up, "up"), new Option(down, "down"));
		this.#turn.value = this.order.descending ? "down" : "up";
	}
}
