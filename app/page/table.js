/** All scores as a table: by question as the tree has them, or sorted by a column. */

import { html, svg } from "./dom.js";
import { decimals } from "./words.js";

/** @typedef {{question: string, text: string, weight: number, answer: import("./api.js").AnswerScore}} Row */

const COLUMNS = [
  { key: "tree", title: "Question and answer", value: null },
  { key: "score", title: "Score", value: (/** @type {Row} */ row) => row.answer.score },
  { key: "fraction", title: "Fraction", value: (/** @type {Row} */ row) => row.answer.fraction },
  { key: "uncertainty", title: "± 68%", value: (/** @type {Row} */ row) => row.answer.uncertainty },
  { key: "uncertainty_95", title: "± 95%", value: (/** @type {Row} */ row) => row.answer.uncertainty_95 },
];

/** Width and height of the bars, in their own units. */
const BAR = { width: 100, height: 12 };

export class ScoreTable {
  /**
   * @param {HTMLElement} host
   * @param {(answer: string) => void} onHold An answer's button was pressed.
   */
  constructor(host, onHold) {
    this.host = host;
    this.onHold = onHold;
    this.sort = { key: "tree", descending: false };
    /** @type {string|null} */
    this.held = null;
    /** @type {Row[]} */
    this.rows = [];
  }

  /**
   * @param {import("./api.js").Classification} classification
   * @param {{explainable: boolean}} options Whether answers are buttons that show where the network looked.
   */
  show(classification, { explainable }) {
    this.explainable = explainable;
    this.path = new Set(classification.path ?? []);
    this.rows = (classification.questions ?? []).flatMap((question) =>
      question.answers.map((answer) => ({ question: question.id, text: question.text, weight: question.weight, answer })),
    );
    this.columns = COLUMNS.filter(({ value }) => !value || this.rows.some((row) => value(row) !== undefined));
    if (!this.columns.some(({ key }) => key === this.sort.key)) this.sort = { key: "tree", descending: false };
    this.draw();
  }

  draw() {
    const caption = html("caption", {}, "Score: the part of all volunteers who would give this answer. Fraction: the part of those who get to the question. ", "±: half the width of the interval about the score that holds the volunteers' votes for 68% or 95% of galaxies. ", html("b", {}, "●"), " marks the likeliest path.");
    const head = html("thead", {}, html("tr", {}, ...this.columns.map((column) => this.header(column))));
    this.host.replaceChildren(html("table", {}, caption, head, ...this.bodies()));
    this.hold(this.held);
  }

  header({ key, title }) {
    const sorted = this.sort.key === key;
    const way = this.sort.descending ? "descending" : "ascending";
    const button = html("button", { type: "button", "data-sort": key }, title, html("span", { class: "arrow", "aria-hidden": "true" }, sorted ? (this.sort.descending ? "▼" : "▲") : ""));
    button.addEventListener("click", () => {
      // Numbers come largest first; a second press turns them round.
      this.sort = { key, descending: key !== "tree" && !(sorted && this.sort.descending) };
      this.draw();
      this.host.querySelector(`[data-sort="${key}"]`)?.focus();
    });
    return html("th", { scope: "col", class: key, "aria-sort": sorted ? way : null }, button);
  }

  bodies() {
    const value = this.columns.find(({ key }) => key === this.sort.key)?.value;
    if (value) {
      const sign = this.sort.descending ? -1 : 1;
      const sorted = this.rows.toSorted((one, other) => sign * ((value(one) ?? 0) - (value(other) ?? 0)));
      return [html("tbody", {}, ...sorted.map((row) => this.row(row, true)))];
    }
    const questions = [...new Set(this.rows.map((row) => row.question))];
    return questions.map((question) => {
      const rows = this.rows.filter((row) => row.question === question);
      const group = html("th", { scope: "rowgroup", colspan: this.columns.length }, html("b", {}, question), ` ${rows[0].text}`);
      return html("tbody", {}, html("tr", { class: "group" }, group), ...rows.map((row) => this.row(row, false)));
    });
  }

  row(/** @type {Row} */ row, /** @type {boolean} */ alone) {
    const likeliest = this.path.has(row.answer.id);
    const name = this.explainable ? html("button", { type: "button", class: "look", "aria-pressed": "false", title: "Show where the network looked for this" }, row.answer.label) : row.answer.label;
    if (name instanceof HTMLElement) name.addEventListener("click", () => this.onHold(row.answer.id));
    const mark = likeliest && html("span", { class: "mark", role: "img", "aria-label": "on the likeliest path" }, "●");
    const cells = this.columns.slice(1).map(({ key, value }) =>
      key === "score" ? html("td", { class: key }, html("span", {}, decimals(row.answer.score)), bar(row.answer)) : html("td", { class: key }, decimals(value?.(row))),
    );
    const th = html("th", { scope: "row" }, alone && html("span", { class: "quiet" }, `${row.question} `), name, mark);
    return html("tr", { class: likeliest ? "on-path" : null, "data-answer": row.answer.id }, th, ...cells);
  }

  /**
   * Mark the answer that is held, if any.
   * @param {string|null} answer
   */
  hold(answer) {
    this.held = answer;
    for (const row of this.host.querySelectorAll("tr[data-answer]")) {
      const held = /** @type {HTMLElement} */ (row).dataset.answer === answer;
      row.classList.toggle("held", held);
      row.querySelector(".look")?.setAttribute("aria-pressed", String(held));
    }
  }

  /** All rows as tab-separated lines, in the order shown. */
  asText() {
    const order = [...this.host.querySelectorAll("tr[data-answer]")].map((row) => /** @type {HTMLElement} */ (row).dataset.answer);
    const byAnswer = new Map(this.rows.map((row) => [row.answer.id, row]));
    const all = [["question", "answer", "label", "score", "fraction", "uncertainty", "uncertainty_95"]];
    for (const id of order) {
      const { question, answer } = byAnswer.get(id);
      const numbers = [answer.score, answer.fraction, answer.uncertainty, answer.uncertainty_95];
      all.push([question, answer.id, answer.label, ...numbers.map((number) => String(number ?? ""))]);
    }
    return `${all.map((cells) => cells.join("\t")).join("\n")}\n`;
  }
}

/** A score as a bar, with its error bar. */
function bar(/** @type {import("./api.js").AnswerScore} */ { score, uncertainty }) {
  const x = (/** @type {number} */ part) => (BAR.width * Math.min(1, Math.max(0, part))).toFixed(1);
  const middle = BAR.height / 2;
  const parts = [
    svg("rect", { class: "whole", width: BAR.width, height: 6, y: 3 }),
    svg("rect", { class: "part", width: x(score), height: 6, y: 3 }),
  ];
  if (uncertainty !== undefined) {
    const [from, to] = [x(score - uncertainty), x(score + uncertainty)];
    parts.push(svg("path", { class: "error", d: `M${from} ${middle}H${to}M${from} 2V10M${to} 2V10` }));
  }
  return svg("svg", { class: "bar", viewBox: `0 0 ${BAR.width} ${BAR.height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...parts);
}
