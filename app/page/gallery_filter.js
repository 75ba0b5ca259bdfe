// Which galaxies are shown, and in which order: pure functions of the answers and the decision tree.

/**
 * @typedef {import("./gallery_queue.js").Entry} Entry
 * @typedef {{answers: Set<string>, least: number}} Filter answers that the likeliest path must hold: of each question
 *   that has any, one of them, and with this vote fraction at least
 * @typedef {{key: string, descending: boolean}} Order by "order", "name", "out_of_domain" or an answer's score
 */

/** Ready-made filters for Galaxy Zoo 2, by their words. */
export const PRESETS = Object.freeze({
  "spiral galaxies": ["Class4.1"],
  "barred spirals with two arms": ["Class3.1", "Class4.1", "Class11.2"],
  "edge-on disks": ["Class2.1"],
  "smooth and round": ["Class1.1", "Class7.1"],
  "mergers or odd": ["Class6.1"],
  "stars or artifacts": ["Class1.3"],
});

/**
 * The ready-made filters that a tree has the answers for.
 * @param {object} tree
 * @returns {[string, string[]][]}
 */
export function presetsOf(tree) {
  const known = new Set(tree.questions.flatMap((question) => question.answers.map((answer) => answer.id)));
  return Object.entries(PRESETS).filter(([, answers]) => answers.every((answer) => known.has(answer)));
}

/**
 * The words of the ready-made filter that this is; null where it is none.
 * @param {Filter} filter @param {object} tree @returns {string | null}
 */
export function presetName(filter, tree) {
  const same = (answers) => answers.length === filter.answers.size && answers.every((each) => filter.answers.has(each));
  return presetsOf(tree).find(([, answers]) => same(answers))?.[0] ?? null;
}

/**
 * What a filter lets through, in words.
 * @param {Filter} filter @param {object} tree @returns {string} "" where it lets everything through
 */
export function filterWords(filter, tree) {
  const preset = presetName(filter, tree);
  const parts = tree.questions.flatMap((question) => {
    const labels = question.answers.filter((answer) => filter.answers.has(answer.id)).map((answer) => answer.label);
    return labels.length ? [`${question.topic ?? question.text}: ${labels.join(" or ")}`] : [];
  });
  if (!parts.length) return "";
  const least = filter.least > 0 ? `, each with a vote fraction of at least ${filter.least}` : "";
  return (preset ?? parts.join("; ")) + least;
}

/**
 * Return the test that a filter makes of each picture; those without scores pass only where nothing is asked.
 * @param {Filter} filter @param {object} tree @returns {(entry: Entry) => boolean}
 */
export function passes(filter, tree) {
  const groups = tree.questions
    .map((question) => question.answers.map((answer) => answer.id).filter((id) => filter.answers.has(id)))
    .filter((ids) => ids.length);
  if (!groups.length) return () => true;
  return ({ classification }) => {
    if (!classification) return false;
    const path = new Set(classification.path);
    const enough = (id) => path.has(id) && (filter.least === 0 || fraction(classification, id) >= filter.least);
    return groups.every((ids) => ids.some(enough));
  };
}

/**
 * An answer's part of those who were asked.
 * @param {object} classification @param {string} id @returns {number}
 */
export function fraction(classification, id) {
  for (const question of classification.questions) {
    for (const answer of question.answers) if (answer.id === id) return answer.fraction;
  }
  return Number.NaN;
}

const collator = new Intl.Collator("en", { numeric: true });

/**
 * Put pictures into an order, those without the number last; where it is equal, in the order given.
 * @param {Entry[]} entries @param {Order} order @returns {Entry[]} a new array
 */
export function sorted(entries, { key, descending }) {
  const sign = descending ? -1 : 1;
  if (key === "order") return entries.toSorted((a, b) => sign * (a.index - b.index));
  if (key === "name") return entries.toSorted((a, b) => sign * collator.compare(a.name, b.name) || a.index - b.index);
  return entries.toSorted((a, b) => {
    const [one, other] = [value(a, key), value(b, key)];
    if (one === null || other === null) return (one === null) - (other === null) || a.index - b.index;
    return sign * (one - other) || a.index - b.index;
  });
}

/**
 * The number that a picture is sorted by; null where it has none.
 * @param {Entry} entry @param {string} key @returns {number | null}
 */
export function value({ classification }, key) {
  if (!classification) return null;
  return (key === "out_of_domain" ? classification.out_of_domain : classification.scores[key]) ?? null;
}

/**
 * A galaxy in a few words, from the answers on its likeliest path: "barred spiral, two arms".
 * @param {object} classification @param {object} tree @returns {string}
 */
export function shortWords({ path, summary }, tree) {
  const answers = tree.questions.flatMap((question) => question.answers);
  if (tree.name !== "galaxy-zoo-2") {
    return answers.filter((answer) => path.includes(answer.id)).map((answer) => answer.label).join(", ") || summary;
  }
  const on = (id) => path.includes(id);
  const label = (question) => answers.find((answer) => on(answer.id) && answer.id.startsWith(`${question}.`))?.label;
  const barred = on("Class3.1") ? "barred " : "";
  const arms = label("Class11");
  const round = { "completely round": "round", "in between": "oval" }[label("Class7")] ?? label("Class7");
  const words = on("Class1.3")
    ? ["star or artifact"]
    : on("Class1.1")
      ? [`smooth, ${round}`]
      : on("Class2.1")
        ? ["edge-on disk"]
        : on("Class4.1")
          ? [`${barred}spiral`, arms === "can't tell" ? "arms hard to count" : `${arms} arm${arms === "one" ? "" : "s"}`]
          : [`${barred}disk without arms`];
  if (on("Class6.1")) words.push(label("Class8") === "other" ? "odd" : label("Class8"));
  return words.join(", ");
}
