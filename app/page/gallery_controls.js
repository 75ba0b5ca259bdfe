// What is chosen above the pictures: the order, the filter, and what is saved.

import { filterWords, presetName, presetsOf } from "./gallery_filter.js";
import { make } from "./gallery_grid.js";

const OWN = "own";
const DIRECTIONS = {
  order: ["first to last", "last to first"],
  name: ["A to Z", "Z to A"],
  score: ["lowest first", "highest first"],
};

/** The controls, and what they say. */
export class Controls {
  /** @type {import("./gallery_filter.js").Filter} */
  filter = { answers: new Set(), least: 0 };
  /** @type {import("./gallery_filter.js").Order} */
  order = { key: "order", descending: false };
  #tree;
  #changed;

  /**
   * @param {object} tree
   * @param {() => void} changed is called when the order or the filter is another
   * @param {(ending: "csv" | "json") => void} save is called when a table is wanted
   */
  constructor(tree, changed, save) {
    this.#tree = tree;
    this.#changed = changed;
    this.#sort = make("select", { id: "gallery-sort", onchange: () => this.#sortBy(this.#sort.value) }, ...this.#keys());
    this.#direction = make("select", { id: "gallery-direction", onchange: () => this.#turn() });
    this.#preset = make("select", { id: "gallery-filter", onchange: () => this.#choose(this.#preset.value) });
    this.#preset.append(
      new Option("all galaxies", ""),
      ...presetsOf(tree).map(([words]) => new Option(words, words)),
      new Option("answers of your own choice", OWN),
    );
    this.#builder = make("details", { id: "gallery-builder" }, make("summary", {}, "Choose answers"), this.#answers());
    this.count = make("p", { id: "gallery-count" });
    this.#clear = make("button", { type: "button", id: "gallery-clear", hidden: true, onclick: () => this.reset() }, "Show all");
    this.#only = make("input", { type: "checkbox", id: "save-shown", checked: true });
    const labelled = (words, control) => make("div", {}, make("label", { htmlFor: control.id }, words), control);
    this.element = make(
      "div",
      { id: "gallery-controls" },
      make(
        "div",
        { className: "row" },
        labelled("Show", this.#preset),
        labelled("Sort by", this.#sort),
        labelled("Order", this.#direction),
        make(
          "div",
          { className: "row save", role: "group", "aria-label": "Save the table" },
          make("button", { type: "button", id: "save-csv", onclick: () => save("csv") }, "Save as CSV"),
          make("button", { type: "button", id: "save-json", onclick: () => save("json") }, "Save as JSON"),
          make("label", {}, this.#only, "only those shown"),
        ),
      ),
      this.#builder,
      make("div", { className: "row" }, this.count, this.#clear),
    );
    this.#turns();
  }

  #sort;
  #direction;
  #preset;
  #builder;
  #clear;
  #only;
  #least;

  /** @returns {boolean} whether only what is shown is saved */
  get onlyShown() {
    return this.#only.checked;
  }

  /** Show all again. */
  reset() {
    this.#choose("");
    this.#preset.focus();
  }

  /**
   * Say how many are shown.
   * @param {number} shown @param {number} all @returns {string} the words
   */
  say(shown, all) {
    const words = filterWords(this.filter, this.#tree);
    this.count.textContent = words ? `${shown} of ${all} shown. ${words[0].toUpperCase()}${words.slice(1)}.` : `All ${all} shown.`;
    this.#clear.hidden = !words;
    return this.count.textContent;
  }

  #keys() {
    const option = (text, value) => new Option(text, value);
    return [
      option("the order given", "order"),
      option("name", "name"),
      option("how unlike the training galaxies", "out_of_domain"),
      ...this.#tree.questions.map((question) =>
        make("optgroup", { label: question.text }, ...question.answers.map(({ label, id }) => option(`${label} (${id})`, id))),
      ),
    ];
  }

  #answers() {
    const box = (answer) =>
      make("label", {}, make("input", { type: "checkbox", value: answer.id, onchange: () => this.#pick() }), answer.label);
    this.#least = make("input", { type: "number", id: "gallery-least", min: 0, max: 1, step: 0.05, value: 0, oninput: () => this.#pick() });
    return make(
      "div",
      { className: "answers" },
      make("p", {}, "The likeliest path must hold one of the ticked answers of each question."),
      ...this.#tree.questions.map((question) =>
        make("fieldset", {}, make("legend", {}, question.text), ...question.answers.map(box)),
      ),
      make("p", {}, make("label", { htmlFor: "gallery-least" }, "Vote fraction of each, at least"), this.#least),
    );
  }

  get #boxes() {
    return [...this.#builder.querySelectorAll("input[type=checkbox]")];
  }

  #choose(words) {
    if (words === OWN) {
      this.#builder.open = true;
      return;
    }
    const answers = new Set(words && presetsOf(this.#tree).find(([name]) => name === words)[1]);
    for (const box of this.#boxes) box.checked = answers.has(box.value);
    if (!words) this.#least.value = 0;
    this.#pick();
  }

  #pick() {
    const answers = new Set(this.#boxes.filter((box) => box.checked).map((box) => box.value));
    const least = Math.min(1, Math.max(0, this.#least.valueAsNumber || 0));
    this.filter = { answers, least };
    this.#preset.value = answers.size ? (presetName(this.filter, this.#tree) ?? OWN) : "";
    this.#changed();
  }

  #sortBy(key) {
    // Of a score one wants the highest; names and places begin at the beginning.
    this.order = { key, descending: !(key in DIRECTIONS) };
    this.#turns();
    this.#changed();
  }

  #turns() {
    const [up, down] = DIRECTIONS[this.order.key] ?? DIRECTIONS.score;
    this.#direction.replaceChildren(new Option(up, "up"), new Option(down, "down"));
    this.#direction.value = this.order.descending ? "down" : "up";
  }

  #turn() {
    this.order = { ...this.order, descending: this.#direction.value === "down" };
    this.#changed();
  }
}
