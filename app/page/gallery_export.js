/** The table of a gallery as a file: CSV for spreadsheets and programs, JSON with all that the service said. */

/** @typedef {import("./gallery_queue.js").Entry} Entry */

const PARTS = [["scores", ""], ["uncertainty", "_uncertainty"], ["uncertainty_95", "_uncertainty_95"]];
const STATUS = { ok: "ok", failed: "error", waiting: "waiting" };

/**
 * As CSV (RFC 4180, UTF-8), with columns named as in the project's other tables. A text that a spreadsheet would take
 * for a formula gets an apostrophe in front, since files may be a stranger's; JSON has every name as it is.
 */
export function toCsv(/** @type {Entry[]} */ entries, /** @type {object} */ tree) {
	const ids = tree.questions.flatMap(({ answers }) => answers.map(({ id }) => id));
	const numbers = PARTS.flatMap(([part, suffix]) => ids.map((id) => ({ part, id, name: id + suffix })));
	const lines = [["name", "status", "error_code", "error_detail", "path", "summary", ...numbers.map(({ name }) => name), "out_of_domain"]];
	for (const { name, status, problem, classification: said } of entries) {
		const texts = [name, STATUS[status], problem?.code, problem?.detail, said?.path?.join(" "), said?.summary];
		lines.push([...texts.map(field), ...numbers.map(({ part, id }) => said?.[part]?.[id]), said?.out_of_domain]);
	}
	return new Blob(lines.map((line) => `${line.join(",")}\r\n`), { type: "text/csv;charset=utf-8" });
}

function field(text = "") {
	const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
	return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

/** As JSON: `{name, status, classification}` or `{name, status, error}` each. */
export function toJson(/** @type {Entry[]} */ entries) {
	const rows = entries.map(({ name, status, problem, classification }) =>
		JSON.stringify({ name, status: STATUS[status], classification: classification ?? undefined, error: problem ?? undefined }),
	);
	return new Blob(["[\n", rows.join(",\n"), "\n]\n"], { type: "application/json" });
}

/** Save a file, as if it had been a link. */
export function save(/** @type {Blob} */ content, /** @type {string} */ ending, /** @type {number} */ rows) {
	const link = document.createElement("a");
	link.href = URL.createObjectURL(content);
	link.download = `galaxytree-${new Date().toISOString().slice(0, 10)}-${rows}-galaxies.${ending}`;
	link.click();
	// Some browsers begin to read only after the click has been dealt with.
	setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
