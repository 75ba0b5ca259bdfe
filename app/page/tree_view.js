/**
 * The decision tree as a picture: questions, and branches as wide as their scores.
 *
 * Each question can be reached with Tab; the arrow keys choose among its answers, and go on to the next question.
 *
 * @typedef {{question: string, answer: string}} Pick
 */

import { svg } from "./dom.js";
import { layOut } from "./tree_layout.js";
import { heading, lines, percent } from "./words.js";

/** Below this the tree runs from top to bottom. */
const WIDE = 1040;

/** About how wide a letter of a label is, in pixels. */
const LETTER = 6.4;

export class TreeView {
	/**
	 * @param {{onPoint: (pick: Pick|null, by: "pointer"|"keyboard") => void, onHold: (answer: string) => void}} calls
	 *   Something is pointed at, or nothing any more; something was clicked, or Enter pressed on it.
	 */
	constructor(host, calls) {
		this.host = host;
		this.calls = calls;
		this.listen();
		new ResizeObserver(() => this.redraw()).observe(host);
	}
	show(tree, classification) {
		this.tree = tree;
		this.classification = classification;
		this.asked = new Map((classification.questions ?? []).map((question) => [question.id, question]));
		this.path = new Set(classification.path);
		this.held = this.pointed = null;
		this.width = 0;
		this.redraw();
	}

	redraw() {
		const width = Math.floor(this.host.clientWidth);
		if (!this.tree || !width || width === this.width) return;
		this.width = width;
		const focused = this.host.contains(document.activeElement) && document.activeElement.dataset.question;
		this.draw(width);
		this.mark("held", this.held);
		if (focused) this.nodeOf(focused).focus();
	}

	draw(width) {
		const direction = width >= WIDE ? "right" : "down";
		const layout = layOut(this.tree, this.classification.scores, this.path, { width, direction });
		const height = Math.ceil(layout.height);
		// What stands out is painted last.
		const order = layout.answers.toSorted((one, other) => Number(one.onPath) - Number(other.onPath));
		const drawing = svg(
			"svg",
			{ width, height, viewBox: `0 0 ${width} ${height}`, class: direction, role: "group", "aria-label": `Decision tree of ${this.tree.title}` },
			...order.map(branch),
			...order.filter(({ onPath }) => onPath).flatMap(spine),
			...layout.questions.map((place) => this.question(place, layout)),
		);
		this.host.replaceChildren(drawing);
		if (direction === "right") squeeze(drawing, layout);
	}

	/** A question: its bar, its heading, and the labels of its answers. */
	question(place, layout) {
		const { id, x, y, length, onPath } = place;
		const question = this.tree.questions.find((one) => one.id === id);
		const asked = this.asked.get(id);
		const down = layout.direction === "down";
		const says = asked.answers.map((one) => `${one.label} ${percent(one.score)}${this.path.has(one.id) ? ", on the likeliest path" : ""}`);
		return svg(
			"g",
			{ class: onPath ? "question on-path" : "question", "data-question": id, tabindex: 0, role: "button", "aria-label": `${id}: ${question.text} ${says.join("; ")}` },
			svg("rect", { class: "bar", rx: 2, x, y, width: down ? length : 4, height: down ? 4 : length }),
			title(question, place, down),
			...layout.answers.filter((answer) => answer.question === id).map((answer) => label(answer, asked, layout)),
		);
	}

	listen() {
		const on = (type, act) => this.host.addEventListener(type, act);
		on("pointerover", ({ target, pointerType }) => {
			const pick = this.pickAt(target);
			if (pick && pointerType !== "touch") this.point(pick, "pointer");
		});
		on("pointerout", ({ relatedTarget, pointerType }) => {
			if (!this.pickAt(relatedTarget) && pointerType !== "touch") this.point(null, "pointer");
		});
		on("click", ({ target }) => {
			const pick = this.pickAt(target);
			if (!pick) return;
			this.point(pick, "pointer");
			this.calls.onHold(pick.answer);
		});
		on("focusin", ({ target }) => {
			if (target.matches(".question:focus-visible")) this.point(this.pickAt(target), "keyboard");
		});
		on("focusout", ({ relatedTarget }) => {
			if (!this.host.contains(relatedTarget)) this.point(null, "keyboard");
		});
		on("keydown", (event) => {
			const pick = this.pickAt(event.target);
			if (pick && this.key(event.key, pick.question, this.pointed?.question === pick.question ? this.pointed.answer : pick.answer)) event.preventDefault();
		});
	}

	key(key, question, answer) {
		const { answers } = this.tree.questions.find(({ id }) => id === question);
		const at = answers.findIndex(({ id }) => id === answer);
		const step = { ArrowDown: 1, ArrowUp: -1 }[key];
		if (step) {
			const next = answers[(at + step + answers.length) % answers.length];
			this.point({ question, answer: next.id }, "keyboard");
		} else if (key === "ArrowRight") {
			this.nodeOf(answers[at].next)?.focus();
		} else if (key === "ArrowLeft") {
			const before = this.tree.questions.filter((one) => one.answers.some(({ next }) => next === question));
			const likeliest = before.find((one) => one.answers.some(({ id, next }) => next === question && this.path.has(id)));
			this.nodeOf((likeliest ?? before[0])?.id)?.focus();
		} else if (key === "Enter" || key === " ") {
			this.calls.onHold(answer);
		} else {
			return false;
		}
		return true;
	}

	/** What an element of the drawing stands for; a question for its likeliest answer. */
	pickAt(target) {
		const element = this.host.contains(target) && target.closest("[data-answer],[data-question]");
		if (!element) return null;
		const { answer, question, of } = element.dataset;
		if (answer) return { question: of, answer };
		const best = this.asked.get(question).answers.reduce((one, other) => (other.score > one.score ? other : one));
		return { question, answer: best.id };
	}

	point(pick, by) {
		this.pointed = pick;
		this.mark("pointed", pick?.answer);
		this.calls.onPoint(pick, by);
	}

	/** Mark the answer that is held, if any. */
	hold(answer) {
		this.held = answer;
		this.mark("held", answer);
	}

	mark(name, answer) {
		for (const element of this.host.querySelectorAll("[data-answer]")) element.classList.toggle(name, element.dataset.answer === answer);
	}

	/** The element of a question. */
	nodeOf(question) {
		return this.host.querySelector(`.question[data-question="${CSS.escape(question)}"]`);
	}
}

/** A branch, and around it what is not seen but easy to point at. */
function branch({ id, question, d, middle, width, onPath }) {
	const which = { "data-answer": id, "data-of": question };
	return svg(
		"g",
		which,
		svg("path", { class: "reach", d: middle }),
		svg("path", { class: onPath ? "answer on-path" : "answer", ...which, "data-width": width.toFixed(2), d }),
	);
}

/** What marks the likeliest path without colour: a line in the middle of its branches, and a dot where each ends. */
function spine({ middle, end, leaf }) {
	return [svg("path", { class: "spine", d: middle }), svg("circle", { class: "dot", cx: end.x, cy: end.y, r: leaf ? 5 : 3.5 })];
}

function title(question, { id, x, y, room }, down) {
	const words = heading(question);
	if (down) {
		const fits = room > LETTER * (words.length + id.length + 2);
		return svg("text", { class: "title", x, y: y - 7 }, svg("tspan", { class: "number" }, id), fits && ` ${words}`);
	}
	const rows = lines(words, Math.floor((room - 14) / 7.4)).slice(0, 2);
	const top = y - 8 - 15 * rows.length;
	return svg(
		"text",
		{ class: "title" },
		svg("tspan", { class: "number", x, y: top }, id),
		...rows.map((row, index) => svg("tspan", { x, y: top + 15 * (index + 1) }, row)),
	);
}

/** An answer's label: on its branch or above it; where votes flow down, as far as there is room. */
function label({ id, question, score, width, thin, onPath, label: { x, y, room } }, asked, layout) {
	const words = asked.answers.find((answer) => answer.id === id).label;
	const part = percent(score);
	const attributes = { class: onPath ? "label on-path" : "label", "data-answer": id, "data-of": question };
	if (layout.direction === "right") {
		const row = (text, at) => svg("tspan", { x, y: at }, text);
		if (thin) return svg("text", attributes, row(`${part} ${words}`, y - width / 2 - 3));
		// On the likeliest path its line lies in between.
		if (width >= 34 || onPath) return svg("text", attributes, row(part, y - 5), row(words, y + 15));
		return svg("text", attributes, row(`${part} ${words}`, y + 4));
	}
	const longest = Math.max(...words.split(" ").map((word) => word.length));
	const rows = lines(words, Math.max(longest, Math.floor(room / LETTER)));
	const wide = Math.max(...rows.map((row) => row.length)) * LETTER;
	const bare = !onPath && wide > room;
	if (bare && room < 26) return null;
	const middle = bare ? x : Math.min(Math.max(x, wide / 2), layout.width - wide / 2);
	const shown = [part, ...(bare ? [] : rows.slice(0, 2))];
	return svg("text", { ...attributes, "text-anchor": "middle" }, ...shown.map((row, index) => svg("tspan", { x: middle, y: y + 11 + 14 * index }, row)));
}

/** Squeeze labels that are a little longer than their room, so that none reaches the next question. */
function squeeze(drawing, { answers }) {
	const room = answers[0].label.room;
	const rows = [...drawing.querySelectorAll(".label tspan")];
	const long = rows.filter((row) => row.getComputedTextLength() > room);
	for (const row of long) {
		row.setAttribute("textLength", room);
		row.setAttribute("lengthAdjust", "spacingAndGlyphs");
	}
}
