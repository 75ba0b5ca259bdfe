/** Which galaxies are shown, and in which order: pure functions of the answers and the tree. */

/**
 * @typedef {import("./gallery_queue.js").Entry} Entry
 * @typedef {import("./api.js").Tree} Tree
 * @typedef {{answers: Set<string>, least: number}} Filter What the likeliest path must hold: of each question with
 *   answers here one of them, with this vote fraction at least.
 * @typedef {{key: string, descending: boolean}} Order By "order", "name", "out_of_domain" or an answer's id.
 */

const PRESETS = {
  "spiral galaxies": ["Class4.1"],
  "barred spirals with two arms": ["Class3.1", "Class4.1", "Class11.2"],
  "edge-on disks": ["Class2.1"],
  "smooth and round": ["Class1.1", "Class7.1"],
  "mergers or odd": ["Class6.1"],
  "stars or artifacts": ["Class1.3"],
};

/** The ready-made filters of a tree, by their words. @returns {[string, string[]][]} */
export function presetsOf(/** @type {Tree} */ tree) {
  return tree.name === "galaxy-zoo-2" ? Object.entries(PRESETS) : [];
}

/** The words of the ready-made filter with these answers. @returns {string|undefined} */
export function presetName(/** @type {Set<string>} */ answers, /** @type {Tree} */ tree) {
  return presetsOf(tree).find(([, ids]) => ids.length === answers.size && ids.every((id) => answers.has(id)))?.[0];
}

/** What a filter lets through, in words; "" for everything. @returns {string} */
export function filterWords(/** @type {Filter} */ { answers, least }, /** @type {Tree} */ tree) {
  const parts = tree.questions.flatMap((question) => {
    const labels = question.answers.filter(({ id }) => answers.has(id)).map(({ label }) => label);
    return labels.length ? [`${question.topic}: ${labels.join(" or ")}`] : [];
  });
  if (!parts.length) return "";
  return (presetName(answers, tree) ?? parts.join("; ")) + (least > 0 ? `, with at least ${least} of the votes each` : "");
}

/** The test that a filter makes of each picture. @returns {(entry: Entry) => boolean} */
export function passes(/** @type {Filter} */ { answers, least }, /** @type {Tree} */ tree) {
  const groups = tree.questions
    .map((question, at) => ({ at, ids: question.answers.map(({ id }) => id).filter((id) => answers.has(id)) }))
    .filter(({ ids }) => ids.length);
  if (!groups.length) return () => true;
  return ({ classification }) => {
    if (!classification) return false;
    const { path, questions } = classification;
    const enough = (at, id) => path.includes(id) && questions[at].answers.find((answer) => answer.id === id).fraction >= least;
    return groups.every(({ at, ids }) => ids.some((id) => enough(at, id)));
  };
}

/** The number that a picture is sorted by, or null. @returns {number|null} */
export function value(/** @type {Entry} */ { classification }, /** @type {string} */ key) {
  return (key === "out_of_domain" ? classification?.out_of_domain : classification?.scores[key]) ?? null;
}

const { compare } = new Intl.Collator("en", { numeric: true });

/** In this order; those without the number last, and equals as they were given. @returns {Entry[]} */
export function sorted(/** @type {Entry[]} */ entries, /** @type {Order} */ { key, descending }) {
  const sign = descending ? -1 : 1;
  const by = { order: (a, b) => a.index - b.index, name: (a, b) => compare(a.name, b.name) }[key];
  const numbers = by ? null : new Map(entries.map((entry) => [entry, value(entry, key)]));
  return [...entries].sort((a, b) => {
    if (by) return sign * by(a, b) || a.index - b.index;
    const [one, other] = [numbers.get(a), numbers.get(b)];
    if (one === null || other === null) return (one === null) - (other === null) || a.index - b.index;
    return sign * (one - other) || a.index - b.index;
  });
}

/** A galaxy in a few words, from its likeliest path: "barred spiral, two arms". @returns {string} */
export function shortWords(/** @type {import("./api.js").Classification} */ { path, summary }, /** @type {Tree} */ tree) {
  const on = tree.questions.flatMap(({ answers }) => answers).filter(({ id }) => path.includes(id));
  if (tree.name !== "galaxy-zoo-2") return on.map(({ label }) => label).join(", ") || summary;
  const label = (question) => on.find(({ id }) => id.startsWith(`${question}.`))?.label;
  const bar = path.includes("Class3.1") ? "barred " : "";
  const arms = label("Class11");
  const odd = label("Class8");
  let words = `${bar}disk without arms`;
  if (path.includes("Class1.3")) words = "star or artifact";
  else if (path.includes("Class1.1")) words = `smooth, ${{ "completely round": "round", "in between": "oval" }[label("Class7")] ?? label("Class7")}`;
  else if (path.includes("Class2.1")) words = "edge-on disk";
  else if (arms) words = `${bar}spiral, ${arms === "can't tell" ? "arms hard to count" : `${arms} arm${arms === "one" ? "" : "s"}`}`;
  return odd ? `${words}, ${odd === "other" ? "odd" : odd}` : words;
}
