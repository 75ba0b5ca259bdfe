// The table of a gallery as a file: CSV for spreadsheets and programs, JSON with all that the service said.

/** @typedef {import("./gallery_queue.js").Entry} Entry */

const SUFFIXES = { scores: "", uncertainty: "_uncertainty", uncertainty_95: "_uncertainty_95" };
const STATUS = { ok: "ok", failed: "error", waiting: "waiting" };

/**
 * The table as CSV (RFC 4180: CRLF, UTF-8 without a mark), its columns named as in the project's other tables.
 *
 * A name that a spreadsheet would take for a formula gets an apostrophe in front, since files may be a stranger's;
 * the JSON has every name as it is.
 * @param {Entry[]} entries @param {object} tree @returns {Blob}
 */
export function toCsv(entries, tree) {
  const columns = tree.questions.flatMap((question) => question.answers.map((answer) => answer.id));
  const numbers = Object.entries(SUFFIXES).flatMap(([part, suffix]) => columns.map((id) => [part, id, id + suffix]));
  const head = ["name", "status", "error_code", "error_detail", "path", "summary", "out_of_domain"];
  const lines = [[...head, ...numbers.map(([, , name]) => name)].join(",") + "\r\n"];
  for (const { name, status, problem, classification } of entries) {
    const texts = [name, STATUS[status], problem?.code, problem?.detail, classification?.path?.join(" "), classification?.summary];
    const values = numbers.map(([part, id]) => classification?.[part]?.[id] ?? "");
    lines.push([...texts.map(field), classification?.out_of_domain ?? "", ...values].join(",") + "\r\n");
  }
  return new Blob(lines, { type: "text/csv;charset=utf-8" });
}

function field(text = "") {
  const plain = /^[=+\-@\t\r]/.test(text ?? "") ? `'${text}` : (text ?? "");
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

/**
 * The table as JSON: an array of `{name, status, classification}` or `{name, status, error}`.
 * @param {Entry[]} entries @returns {Blob}
 */
export function toJson(entries) {
  const rows = entries.map(({ name, status, problem, classification }) =>
    JSON.stringify({
      name,
      status: STATUS[status],
      ...(classification && { classification }),
      ...(problem && { error: problem }),
    }),
  );
  return new Blob(["[\n", rows.join(",\n"), "\n]\n"], { type: "application/json" });
}

/**
 * Save a file, as if it had been a link.
 * @param {Blob} content @param {string} ending @param {number} rows that the name tells
 */
export function save(content, ending, rows) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  const day = new Date().toISOString().slice(0, 10);
  link.download = `galaxytree-${day}-${rows}-${rows === 1 ? "galaxy" : "galaxies"}.${ending}`;
  link.click();
  // Some browsers begin to read only after the click has been dealt with.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
