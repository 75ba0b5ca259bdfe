/** Which galaxies are shown, and in which order: pure functions of the answers and the tree. */

/**
 * @typedef {import("./gallery_queue.js").Entry} Entry
 * @typedef {object} Tree What `GET /decision-tree` answers.
 * @typedef {{answers: Set<string>, least: number}} Filter Of each question that has any here, one of these must be on
 *   the likeliest path, with this vote fraction at least.
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

/** The ready-made filters of a tree, by their words. */
export function presetsOf(/** @type {Tree} */ tree) {
	return tree.name === "galaxy-zoo-2" ? Object.entries(PRESETS) : [];
}

/** The words of the ready-made filter with these answers. */
export function presetName(/** @type {Set<string>} */ answers, /** @type {Tree} */ tree) {
	return presetsOf(tree).find(([, ids]) => ids.length === answers.size && ids.every((id) => answers.has(id)))?.[0];
}

/** What a filter lets through, in words; "" for everything. */
export function filterWords(/** @type {Filter} */ { answers, least }, /** @type {Tree} */ tree) {
	const parts = tree.questions.flatMap((question) => {
		const labels = question.answers.filter(({ id }) => answers.has(id)).map(({ label }) => label);
		return labels.length ? [`${question.topic}: ${labels.join(" or ")}`] : [];
	});
	if (!parts.length) return "";
	return (presetName(answers, tree) ?? parts.join("; ")) + (least > 0 ? `, with at least ${least} of the votes each` : "");
}

/** The test that a filter makes of each picture. */
export function passes(/** @type {Filter} */ { answers, least }, /** @type {Tree} */ tree) {
	const groups = tree.questions
		.map((question, at) => ({ at, ids: question.answers.map(({ id }) => id).filter((id) => answers.has(id)) }))
		.filter(({ ids }) => ids.length);
	if (!groups.length) return () => true;
	return ({ classification }) => {
		if (!classification) return false;
		const { path, questions } = classification;
		return groups.every(({ at, ids }) =>
			questions[at].answers.some(({ id, fraction }) => ids.includes(id) && path.includes(id) && fraction >= least));
	};
}

/** The number that a picture is sorted by, or null. */
export function value(/** @type {Entry} */ { classification }, /** @type {string} */ key) {
	return (key === "out_of_domain" ? classification?.out_of_domain : classification?.scores[key]) ?? null;
}

const { compare } = new Intl.Collator("en", { numeric: true });

/** In this order; those without the number last, and equals as they were given. */
export function sorted(/** @type {Entry[]} */ entries, /** @type {Order} */ { key, descending }) {
	const sign = descending ? -1 : 1;
	const numbers = (a, b) => {
		const [one, other] = [value(a, key), value(b, key)];
		return one === null || other === null ? (one === null) - (other === null) : sign * (one - other);
	};
	const by = { order: (a, b) => sign * (a.index - b.index), name: (a, b) => sign * compare(a.name, b.name) }[key] ?? numbers;
	return [...entries].sort((a, b) => by(a, b) || a.index - b.index);
}

/** A galaxy in a few words, from its likeliest path: "barred spiral, two arms". */
export function shortWords(/** @type {import("./api.js").Classification} */ { path, summary }, /** @type {Tree} */ tree) {
	const on = tree.questions.flatMap(({ answers }) => answers).filter(({ id }) => path.includes(id));
	if (tree.name !== "galaxy-zoo-2") return on.map(({ label }) => label).join(", ") || summary;
	const label = (question) => on.find(({ id }) => id.startsWith(`${question}.`))?.label;
	const bar = path.includes("Class3.1") ? "barred " : "";
	const arms = label("Class11");
	const odd = label("Class8");
	let words = `${bar}disk without arms`;
	if (path.includes("Class1.3")) words = "star or artifact";
	else if (path.includes("Class1.1")) words = `smooth, ${{ "Class7.1": "round", "Class7.2": "oval" }[path[1]] ?? "cigar-shaped"}`;
	else if (path.includes("Class2.1")) words = "edge-on disk";
	else if (arms) words = `${bar}spiral, ${arms === "can't tell" ? "arms hard to count" : `${arms} arm${arms === "one" ? "" : "s"}`}`;
	return odd ? `${words}, ${odd === "other" ? "odd" : odd}` : words;
}
