/**
 * The decision tree as a picture: questions, and branches as wide as their scores.
 *
 * Each question can be reached with Tab; the arrow keys choose among its answers, and go on to the next question.
 *
 * @typedef {import("./api.js").Tree} Tree
 * @typedef {import("./api.js").Classification} Classification
 * @typedef {{question: string, answer: string}} Pick
 *
 * @typedef {object} Calls
 * @property {(pick: Pick|null, how: "pointer"|"keyboard") => void} onPoint Something is pointed at, or nothing any more.
 * @property {(pick: Pick) => void} onHold Something was clicked, or Enter pressed on it.
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
   * @param {HTMLElement} host
   * @param {Calls} calls
   */
  constructor(host, calls) {
    this.host = host;
    this.calls = calls;
    /** @type {SVGElement|null} */
    this.drawing = null;
    /** @type {Pick|null} */
    this.pointed = null;
    /** @type {string|null} */
    this.held = null;
    /** @type {{tree: Tree, classification: Classification}|null} */
    this.shown = null;
    new ResizeObserver(() => this.redraw()).observe(host);
  }

  /**
   * @param {Tree} tree
   * @param {Classification} classification
   */
  show(tree, classification) {
    this.shown = { tree, classification };
    this.width = 0;
    this.redraw();
  }

  redraw() {
    const width = Math.floor(this.host.clientWidth);
    if (!this.shown || !width || width === this.width) return;
    this.width = width;
    const focused = this.host.contains(document.activeElement)
      ? /** @type {HTMLElement} */ (document.activeElement).dataset?.question
      : null;
    this.draw(width);
    this.hold(this.held);
    if (focused) this.nodeOf(focused)?.focus();
  }

  draw(/** @type {number} */ width) {
    const { tree, classification } = this.shown;
    const path = classification.path ?? [];
    const direction = width >= WIDE ? "right" : "down";
    const layout = layOut(tree, classification.scores, path, { width, direction });
    this.asked = new Map((classification.questions ?? []).map((question) => [question.id, question]));
    this.path = new Set(path);
    const size = { width: layout.width, height: Math.ceil(layout.height) };
    this.drawing = svg("svg", { ...size, viewBox: `0 0 ${size.width} ${size.height}`, class: direction, role: "group", "aria-label": describe(tree, classification) });
    // What stands out is painted last.
    const order = layout.answers.toSorted((one, other) => Number(one.onPath) - Number(other.onPath));
    this.drawing.append(
      svg("g", { class: "branches" }, ...order.map(branch)),
      svg("g", { class: "spines", "aria-hidden": "true" }, ...spines(layout)),
      svg("g", {}, ...layout.questions.map((place) => this.question(place, layout))),
    );
    this.listen(this.drawing);
    this.host.replaceChildren(this.drawing);
    if (direction === "right") squeeze(this.drawing, layout);
  }

  /** A question: its bar, its heading, and the labels of its answers. */
  question(place, layout) {
    const { tree } = this.shown;
    const question = tree.questions.find(({ id }) => id === place.id);
    const asked = this.asked.get(place.id);
    const down = layout.direction === "down";
    const box = down ? { x: place.x, y: place.y, width: place.length, height: 4 } : { x: place.x, y: place.y, width: 4, height: place.length };
    const labels = layout.answers.filter((answer) => answer.question === place.id).map((answer) => label(answer, asked, layout));
    const attributes = {
      class: place.onPath ? "question on-path" : "question",
      "data-question": place.id,
      tabindex: 0,
      role: "button",
      "aria-label": spoken(question, asked, this.path),
    };
    return svg("g", attributes, svg("rect", { class: "bar", rx: 2, ...box }), title(question, place, down), ...labels);
  }

  listen(/** @type {SVGElement} */ drawing) {
    drawing.addEventListener("pointerover", (event) => {
      const pick = this.pickAt(event.target);
      if (pick && event.pointerType !== "touch") this.point(pick, "pointer");
    });
    drawing.addEventListener("pointerout", (event) => {
      if (!this.pickAt(event.relatedTarget) && event.pointerType !== "touch") this.point(null, "pointer");
    });
    drawing.addEventListener("click", (event) => {
      const pick = this.pickAt(event.target);
      if (!pick) return;
      this.point(pick, "keyboard");
      this.calls.onHold(pick);
    });
    drawing.addEventListener("focusin", (event) => {
      const pick = this.pickAt(event.target);
      if (pick && /** @type {Element} */ (event.target).matches(":focus-visible")) this.point(pick, "keyboard");
    });
    drawing.addEventListener("focusout", (event) => {
      if (!drawing.contains(/** @type {Node|null} */ (event.relatedTarget))) this.point(null, "keyboard");
    });
    drawing.addEventListener("keydown", (event) => this.key(/** @type {KeyboardEvent} */ (event)));
  }

  key(/** @type {KeyboardEvent} */ event) {
    const pick = this.pickAt(event.target);
    if (!pick) return;
    const answers = this.shown.tree.questions.find(({ id }) => id === pick.question).answers;
    const now = this.pointed?.question === pick.question ? this.pointed.answer : pick.answer;
    const at = answers.findIndex(({ id }) => id === now);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      const answer = answers[(at + step + answers.length) % answers.length].id;
      this.point({ question: pick.question, answer }, "keyboard");
    } else if (event.key === "ArrowRight") {
      this.nodeOf(answers[at].next)?.focus();
    } else if (event.key === "ArrowLeft") {
      const before = this.shown.tree.questions.flatMap(({ id, answers: theirs }) => theirs.filter(({ next }) => next === pick.question).map((answer) => ({ id, answer: answer.id })));
      const likeliest = before.find(({ answer }) => this.path.has(answer)) ?? before[0];
      if (likeliest) this.nodeOf(likeliest.id)?.focus();
    } else if (event.key === "Enter" || event.key === " ") {
      this.calls.onHold({ question: pick.question, answer: now });
    } else {
      return;
    }
    event.preventDefault();
  }

  /** What an element of the drawing stands for; a question for its likeliest answer. */
  pickAt(/** @type {EventTarget|null} */ target) {
    const element = target instanceof Element && this.drawing?.contains(target) ? target.closest("[data-answer],[data-question]") : null;
    if (!element) return null;
    const { answer, question, of } = /** @type {HTMLElement} */ (element).dataset;
    if (answer) return { question: of ?? "", answer };
    const asked = this.asked.get(question)?.answers ?? [];
    const best = asked.reduce((one, other) => (other.score > one.score ? other : one), asked[0]);
    return { question: question ?? "", answer: best?.id ?? "" };
  }

  /** Mark what is pointed at, and say so. */
  point(/** @type {Pick|null} */ pick, /** @type {"pointer"|"keyboard"} */ how) {
    this.pointed = pick;
    for (const marked of this.host.querySelectorAll(".pointed")) marked.classList.remove("pointed");
    if (pick) for (const element of this.elementsOf(pick.answer)) element.classList.add("pointed");
    this.calls.onPoint(pick, how);
  }

  /**
   * Mark the answer that is held, if any.
   * @param {string|null} answer
   */
  hold(answer) {
    this.held = answer;
    for (const marked of this.host.querySelectorAll(".held")) marked.classList.remove("held");
    if (answer) for (const element of this.elementsOf(answer)) element.classList.add("held");
  }

  elementsOf(/** @type {string} */ answer) {
    return this.host.querySelectorAll(`[data-answer="${CSS.escape(answer)}"]`);
  }

  /**
   * The element of a question.
   * @param {string} question
   * @returns {SVGElement|null}
   */
  nodeOf(question) {
    return this.host.querySelector(`.question[data-question="${CSS.escape(question)}"]`);
  }
}

/** A branch, and below it a line that is not seen but easy to point at. */
function branch(/** @type {import("./tree_layout.js").AnswerPlace} */ answer) {
  const shown = { class: answer.onPath ? "answer on-path" : "answer", "data-width": answer.width.toFixed(2) };
  return svg(
    "g",
    { "data-answer": answer.id, "data-of": answer.question },
    svg("path", { class: "reach", d: answer.middle }),
    svg("path", { ...shown, "data-answer": answer.id, "data-of": answer.question, d: answer.d }),
  );
}

/** What marks the likeliest path without colour: a line in the middle of its branches, and a dot where it ends. */
function spines(/** @type {import("./tree_layout.js").Layout} */ { answers }) {
  return answers
    .filter(({ onPath }) => onPath)
    .flatMap(({ middle, end, leaf }) => [svg("path", { class: "spine", d: middle }), svg("circle", { class: "dot", cx: end.x, cy: end.y, r: leaf ? 5 : 3.5 })]);
}

function title(question, place, down) {
  const words = heading(question);
  if (!down) {
    const rows = lines(words, Math.floor((place.room - 14) / 7.4)).slice(0, 2);
    const top = place.y - 8 - 15 * rows.length;
    return svg(
      "text",
      { class: "title" },
      svg("tspan", { class: "number", x: place.x, y: top }, question.id),
      ...rows.map((row, index) => svg("tspan", { x: place.x, y: top + 15 * (index + 1) }, row)),
    );
  }
  const fits = place.room > LETTER * (words.length + question.id.length + 2);
  return svg("text", { class: "title", x: place.x, y: place.y - 7 }, svg("tspan", { class: "number" }, question.id), fits ? ` ${words}` : "");
}

/** An answer's label: on its branch or above it; where votes flow down, as far as there is room. */
function label(place, asked, { direction, width }) {
  const words = asked?.answers.find(({ id }) => id === place.id)?.label ?? place.id;
  const part = percent(place.score);
  const attributes = { class: place.onPath ? "label on-path" : "label", "data-answer": place.id, "data-of": place.question };
  const { x, y, room } = place.label;
  if (direction === "right") {
    const row = (/** @type {string} */ text, /** @type {number} */ at) => svg("tspan", { x, y: at }, text);
    if (place.thin) return svg("text", attributes, row(`${part} ${words}`, y - place.width / 2 - 3));
    // On the likeliest path its line lies in between.
    if (place.width >= 34 || place.onPath) return svg("text", attributes, row(part, y - 5), row(words, y + 15));
    return svg("text", attributes, row(`${part} ${words}`, y + 4));
  }
  const longest = Math.max(...words.split(" ").map((word) => word.length));
  const rows = lines(words, Math.max(longest, Math.floor(room / LETTER)));
  const wide = Math.max(...rows.map((row) => row.length)) * LETTER;
  const bare = !place.onPath && wide > room;
  if (bare && room < 26) return null;
  const middle = bare ? x : Math.min(Math.max(x, wide / 2), width - wide / 2);
  const shown = [part, ...(bare ? [] : rows.slice(0, 2))];
  return svg("text", { ...attributes, "text-anchor": "middle" }, ...shown.map((row, index) => svg("tspan", { x: middle, y: y + 11 + 14 * index }, row)));
}

/** Squeeze labels that are longer than their room by a little, so that none reaches the next question. */
function squeeze(/** @type {SVGElement} */ drawing, /** @type {import("./tree_layout.js").Layout} */ { answers }) {
  const rooms = new Map(answers.map(({ id, label: { room } }) => [id, room]));
  const rows = [...drawing.querySelectorAll(".label tspan")];
  const long = rows.map((row) => /** @type {SVGTSpanElement} */ (row).getComputedTextLength());
  for (const [index, row] of rows.entries()) {
    const room = rooms.get(/** @type {SVGElement} */ (row.parentElement).dataset.answer ?? "") ?? 0;
    if (long[index] > room) for (const [name, value] of [["textLength", String(room)], ["lengthAdjust", "spacingAndGlyphs"]]) row.setAttribute(name, value);
  }
}

/** What a screen reader says of a question. */
function spoken(question, asked, path) {
  const answers = (asked?.answers ?? []).map(({ id, label: words, score }) => `${words} ${percent(score)}${path.has(id) ? ", on the likeliest path" : ""}`);
  return `${question.id}: ${question.text} ${answers.join("; ")}`;
}

function describe(/** @type {Tree} */ tree, /** @type {Classification} */ { questions = [], path = [] }) {
  const labels = new Map(questions.flatMap(({ answers }) => answers).map(({ id, label: words }) => [id, words]));
  return `Decision tree of ${tree.title}. Likeliest path: ${path.map((answer) => labels.get(answer)).join(", ")}.`;
}
