/** All scores as a table: by question as the tree has them, or sorted by a column. */

import { html, svg } from "./dom.js";
import { decimals } from "./words.js";

/** Headings of what is said of an answer, by its key. */
const COLUMNS = {
	tree: "Answer",
	score: "Score",
	fraction: "Fraction",
	uncertainty: "± 68%",
	uncertainty_95: "± 95%",
};

export class ScoreTable {
	/** @param {(answer: string) => void} onHold An answer's button was pressed. */
	constructor(host, onHold) {
		this.host = host;
		this.onHold = onHold;
		this.sorted = "tree";
		this.descending = false;
		this.held = null;
	}

	/** @param {{explainable: boolean}} options Whether answers are buttons that show where the network looked. */
	show({ questions = [], path = [] }, { explainable }) {
		this.explainable = explainable;
		this.path = path;
		this.questions = questions;
		this.rows = questions.flatMap(({ id, answers }) => answers.map((answer) => ({ question: id, ...answer })));
		this.columns = Object.keys(COLUMNS).filter((key) => key === "tree" || this.rows.some((row) => row[key] !== undefined));
		if (!this.columns.includes(this.sorted)) this.sorted = "tree";
		this.held = null;
		this.draw();
	}

	draw() {
		const caption = html(
			"caption",
			{},
			"Score: the part of all volunteers who would give this answer. Fraction: the part of those who get to the question. ",
			"±: half the width of the interval about the score that holds the volunteers' votes for 68% or 95% of galaxies. ",
			html("b", {}, "●"),
			" marks the likeliest path.",
		);
		const head = html("thead", {}, html("tr", {}, ...this.columns.map((key) => this.header(key))));
		this.host.replaceChildren(html("table", {}, caption, head, ...this.bodies()));
		this.hold(this.held);
	}

	header(key) {
		const sorted = this.sorted === key;
		const arrow = html("span", { class: "arrow", "aria-hidden": "true" }, sorted && (this.descending ? "▼" : "▲"));
		const button = html("button", { "data-sort": key }, COLUMNS[key], arrow);
		button.addEventListener("click", () => {
			// Numbers come largest first; a second press turns them round.
			this.descending = key !== "tree" && !(sorted && this.descending);
			this.sorted = key;
			this.draw();
			this.host.querySelector(`[data-sort="${key}"]`).focus();
		});
		const way = this.descending ? "descending" : "ascending";
		return html("th", { scope: "col", class: key, "aria-sort": sorted && way }, button);
	}

	bodies() {
		if (this.sorted !== "tree") {
			const [key, sign] = [this.sorted, this.descending ? -1 : 1];
			const rows = this.rows.toSorted((one, other) => sign * (one[key] - other[key]));
			return [html("tbody", {}, ...rows.map((row) => this.row(row)))];
		}
		return this.questions.map(({ id, text }) => {
			const group = html("th", { scope: "rowgroup", colspan: this.columns.length }, html("b", {}, id), ` ${text}`);
			const rows = this.rows.filter(({ question }) => question === id);
			return html("tbody", {}, html("tr", { class: "group" }, group), ...rows.map((row) => this.row(row)));
		});
	}

	row(row) {
		const likeliest = this.path.includes(row.id);
		let name = row.label;
		if (this.explainable) {
			name = html("button", { class: "look", title: "Show where the network looked for this" }, row.label);
			name.addEventListener("click", () => this.onHold(row.id));
		}
		const of = this.sorted !== "tree" && html("span", { class: "quiet" }, `${row.question} `);
		const mark = likeliest && html("span", { class: "mark", role: "img", "aria-label": "on the likeliest path" }, "●");
		const cells = this.columns.slice(1).map((key) => html("td", { class: key }, decimals(row[key]), key === "score" && bar(row)));
		return html("tr", { class: likeliest && "on-path", "data-answer": row.id }, html("th", { scope: "row" }, of, name, mark), ...cells);
	}

	/** Mark the answer that is held, if any. */
	hold(answer) {
		this.held = answer;
		for (const row of this.host.querySelectorAll("tr[data-answer]")) {
			const held = row.dataset.answer === answer;
			row.classList.toggle("held", held);
			row.querySelector(".look")?.setAttribute("aria-pressed", String(held));
		}
	}

	/** All rows as tab-separated lines, in the order shown. */
	asText() {
		const keys = ["question", "id", "label", "score", "fraction", "uncertainty", "uncertainty_95"];
		const rows = [...this.host.querySelectorAll("tr[data-answer]")].map((shown) => this.rows.find(({ id }) => id === shown.dataset.answer));
		const lines = [["question", "answer", ...keys.slice(2)], ...rows.map((row) => keys.map((key) => row[key] ?? ""))];
		return lines.map((cells) => `${cells.join("\t")}\n`).join("");
	}
}

/** A score as a bar of 100 by 12, with its error bar. */
function bar({ score, uncertainty }) {
	const x = (part) => (100 * Math.min(1, Math.max(0, part))).toFixed(1);
	const [from, to] = [x(score - uncertainty), x(score + uncertainty)];
	return svg(
		"svg",
		{ class: "bar", viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" },
		svg("rect", { class: "whole", width: 100, height: 6, y: 3 }),
		svg("rect", { class: "part", width: x(score), height: 6, y: 3 }),
		uncertainty !== undefined && svg("path", { class: "error", d: `M${from} 6H${to}M${from} 2V10M${to} 2V10` }),
	);
}
