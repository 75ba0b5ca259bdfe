/**
 * What the page's address says, and what it is to say.
 *
 * @typedef {{kind: "file", blob: Blob, name: string}
 *         | {kind: "url", url: string}
 *         | {kind: "position", ra: number, dec: number, survey: string, radius: number|null}
 *         | {kind: "example", example: string}} Source
 */

/**
 * Read what an address asks for; null if nothing, or nothing that makes sense.
 * @param {string} search The part from the question mark on.
 */
export function readAddress(search) {
	const query = new URLSearchParams(search);
	const said = (name) => query.get(name) ?? "";
	const [ra, dec] = [Number(said("ra") || Number.NaN), Number(said("dec") || Number.NaN)];
	let source = null;
	if (said("url")) source = { kind: "url", url: said("url") };
	else if (/^[a-z-]+$/.test(said("example"))) source = { kind: "example", example: said("example") };
	else if (Number.isFinite(ra + dec)) source = { kind: "position", ra, dec, survey: said("survey") || "sdss", radius: Number(said("radius")) || null };
	return { source, views: Number(said("views")) || null };
}

/**
 * Write what is looked at as an address; a file can't be, and gets the bare one.
 * @param {number|null} views Where the user chose how many.
 */
export function addressOf(source, views) {
	const { kind, blob, name, ...said } = source;
	const query = new URLSearchParams();
	for (const [key, value] of Object.entries(kind === "file" ? {} : { ...said, views })) if (value !== null) query.set(key, String(value));
	return `${location.pathname}${query.size ? `?${query}` : ""}`;
}

/** What a source is called. */
export function nameOf(source) {
	if (source.kind === "file") return source.name;
	if (source.kind === "example") return `a made-up galaxy (${source.example})`;
	if (source.kind === "position") return `RA ${source.ra.toFixed(4)}°, Dec ${source.dec.toFixed(4)}°`;
	return source.url;
}

/** Copy text; false if the browser doesn't let us. */
export async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
		return true;
	} catch {
		// Without a secure address, as of a machine in the same network, there is only the old way.
		const field = document.createElement("textarea");
		field.value = text;
		document.body.append(field);
		field.select();
		const copied = document.execCommand("copy");
		field.remove();
		return copied;
	}
}
