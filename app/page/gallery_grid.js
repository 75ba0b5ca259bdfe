// The pictures of a gallery: a list of buttons, changed once a frame however many answers come.

import { shortWords, value } from "./gallery_filter.js";
import { Thumbs } from "./gallery_thumbs.js";

/** @typedef {import("./gallery_queue.js").Entry} Entry */

const FLAGGED_ABOVE = 0.5;

/**
 * Make an element.
 * @param {string} name @param {object} properties set on it; aria-, data- and role as attributes
 * @param {...(Node | string)} children @returns {HTMLElement}
 */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, what] of Object.entries(properties)) {
    if (/^(aria-|data-|role$|for$)/.test(key)) element.setAttribute(key, what);
    else element[key] = what;
  }
  element.append(...children);
  return element;
}

/** The list of cells. */
export class Grid {
  #tree;
  #cells = new Map();
  #entries = new Map();
  #stale = new Set();
  #shown = [];
  #key = "order";
  #current = null;
  #thumbs = new Thumbs((picture) => this.#entries.get(picture.closest("li")));

  /**
   * @param {object} tree
   * @param {(entry: Entry) => void} onOpen is called with the picture that was clicked
   */
  constructor(tree, onOpen) {
    this.#tree = tree;
    this.element = make("ul", { id: "gallery-grid", className: "night", role: "list", "aria-describedby": "gallery-keys" });
    this.element.addEventListener("click", ({ target }) => {
      const entry = this.#entries.get(target.closest("li"));
      if (entry && entry.status !== "waiting") onOpen(entry);
    });
    this.element.addEventListener("focusin", ({ target }) => this.#setCurrent(this.#entries.get(target.closest("li"))));
    this.element.addEventListener("keydown", (event) => this.#press(event));
  }

  /** @param {Entry[]} entries new ones, which are shown by the next `show` */
  add(entries) {
    const cell = make(
      "li",
      {},
      make(
        "button",
        { type: "button", tabIndex: -1, "data-status": "waiting" },
        make("span", { className: "picture", "aria-hidden": "true" }),
        make("span", { className: "name" }),
        make("span", { className: "words" }),
      ),
    );
    for (const entry of entries) {
      const copy = cell.cloneNode(true);
      this.#cells.set(entry, copy);
      this.#entries.set(copy, entry);
      this.#write(entry);
      this.#thumbs.watch(copy.querySelector(".picture"));
    }
  }

  /** A picture's state has changed. @param {Entry} entry */
  update(entry) {
    this.#stale.add(entry);
  }

  /** Write what has changed since; once a frame. */
  flush() {
    for (const entry of this.#stale) this.#write(entry);
    this.#stale.clear();
  }

  /**
   * Show these, in this order.
   * @param {Entry[]} entries @param {string} key that they are sorted by, whose number each cell says
   */
  show(entries, key) {
    const rewritten = key === this.#key ? [] : this.#cells.keys();
    this.#key = key;
    for (const entry of rewritten) this.#write(entry);
    if (entries.length === this.#shown.length && entries.every((entry, at) => entry === this.#shown[at])) return;
    this.#shown = entries;
    const focused = this.element.contains(document.activeElement);
    this.element.replaceChildren(...entries.map((entry) => this.#cells.get(entry)));
    if (!entries.includes(this.#current)) this.#setCurrent(entries[0]);
    if (focused) this.focus();
  }

  /** Focus the picture that was focused last. @param {boolean} scroll whether to bring it into view */
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

  // One stop of the tab key for all of them; arrows go on from there.
  #setCurrent(entry) {
    if (this.#button(this.#current)) this.#button(this.#current).tabIndex = -1;
    this.#current = entry ?? null;
    if (entry) this.#button(entry).tabIndex = 0;
  }

  #press(event) {
    const columns = getComputedStyle(this.element).gridTemplateColumns.split(" ").length;
    const at = this.#shown.indexOf(this.#current);
    const last = this.#shown.length - 1;
    const rows = Math.max(1, Math.floor(innerHeight / this.#cells.get(this.#current).offsetHeight) - 1);
    const to = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      ArrowDown: at + columns,
      ArrowUp: at - columns,
      PageDown: Math.min(last, at + rows * columns),
      PageUp: Math.max(0, at - rows * columns),
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    if (to < 0 || to > last) return;
    this.#setCurrent(this.#shown[to]);
    this.focus(true);
  }

  #write(entry) {
    const button = this.#button(entry);
    const [picture, name, words] = button.children;
    const { said, mark } = this.#said(entry);
    const number = value(entry, this.#key);
    const sortedBy = number === null ? "" : `${this.#label()} ${number.toFixed(2)}`;
    button.dataset.status = entry.status;
    button.dataset.mark = mark;
    button.setAttribute("aria-disabled", entry.status === "waiting");
    name.textContent = entry.name.split("/").at(-1);
    words.textContent = said;
    picture.dataset.value = sortedBy;
    const told = [entry.name, said, sortedBy].filter(Boolean).join(", ");
    button.setAttribute("aria-label", told);
    button.title = entry.classification?.summary ? `${entry.name}: ${entry.classification.summary}` : told;
    if (entry.status !== "ok") picture.replaceChildren();
    else this.#thumbs.refresh(picture);
  }

  #label() {
    if (this.#key === "out_of_domain") return "unlike";
    return this.#tree.questions.flatMap((question) => question.answers).find(({ id }) => id === this.#key)?.label;
  }

  #said({ status, classification, problem }) {
    if (status === "waiting") return { said: "waiting", mark: "" };
    if (status === "failed") return { said: `failed: ${problem.detail}`, mark: "failed" };
    const flagged = classification.out_of_domain > FLAGGED_ABOVE;
    const said = shortWords(classification, this.#tree);
    return { said: flagged ? `unfamiliar: ${said}` : said, mark: flagged ? "flagged" : "" };
  }
}
