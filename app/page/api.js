/**
 * The service's public API, as anyone may call it. Nothing here touches the page.
 *
 * `GET /docs` has all of what it answers; here is what the page reads of that.
 *
 * @typedef {{image: {width: number, height: number, format: string}, views: number, scores: Record<string, number>,
 *   out_of_domain?: number, questions?: object[], path?: string[], summary?: string,
 *   explanation?: {png: string, box: {left: number, top: number, width: number, height: number}}}} Classification
 */

/** Where the service is: the folder above this file's, so that a prefix of a proxy is kept. */
const ROOT = new URL("../", import.meta.url);
const KEY = "galaxytree-key";

/** An answer that is a problem, or none at all (code `unreachable`). */
export class ApiProblem extends Error {
	constructor({ status, code, detail, retryAfterSeconds = null }) {
		super(detail);
		Object.assign(this, { name: "ApiProblem", status, code, detail, retryAfterSeconds });
	}
}

let askForKey = async () => null;
let asking = null;

/**
 * Say how the user is asked for a key where the service wants one.
 * @param {(refused: boolean) => Promise<string|null>} ask Gets whether a key was refused; null gives up.
 */
export function onKeyWanted(ask) {
	askForKey = ask;
}

/** Ask once, however many were refused at a time. */
async function newKey(used) {
	const kept = sessionStorage.getItem(KEY);
	if (kept !== used) return kept;
	asking ??= askForKey(used !== null).finally(() => (asking = null));
	const key = await asking;
	if (key) sessionStorage.setItem(KEY, key);
	return key;
}

/** A header holds bytes; the service compares those of UTF-8. */
function bearer(key) {
	return `Bearer ${String.fromCharCode(...new TextEncoder().encode(key))}`;
}

async function problemOf(response) {
	const seconds = Number.parseFloat(response.headers.get("Retry-After") ?? "");
	const plain = { code: "unknown", detail: `The service answered ${response.status} ${response.statusText}`.trim() };
	// Something between here and the service may have answered in its own words.
	const told = await response.json().catch(() => ({}));
	return new ApiProblem({ ...plain, ...told, status: response.status, retryAfterSeconds: seconds >= 0 ? seconds : null });
}

async function request(path, { query = {}, ...options } = {}) {
	const url = new URL(path, ROOT);
	for (const [name, value] of Object.entries(query)) {
		if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, String(value));
	}
	for (;;) {
		const key = sessionStorage.getItem(KEY);
		const headers = new Headers(options.headers);
		if (key) headers.set("Authorization", bearer(key));
		let response;
		try {
			response = await fetch(url, { ...options, headers });
			if (response.ok) return await response.json();
		} catch (error) {
			if (options.signal?.aborted) throw error;
			throw new ApiProblem({ status: 0, code: "unreachable", detail: "The service could not be reached." });
		}
		const problem = await problemOf(response);
		if (problem.code !== "unauthorized" || !(await newKey(key))) throw problem;
		options.signal?.throwIfAborted();
	}
}

/** Score one picture. */
export function classify(blob, { signal, ...query } = {}) {
	const headers = { "Content-Type": blob.type || "application/octet-stream" };
	return request("classify", { method: "POST", body: blob, headers, query, signal });
}

/**
 * Have the service fetch a picture and score it.
 * @returns {Promise<{classification: Classification, picture: Blob|null}>} With the bytes that were looked at.
 */
export async function classifyUrl(url, { views, signal } = {}) {
	const { results } = await request("classify/batch", {
		method: "POST",
		body: JSON.stringify({ items: [{ url }] }),
		headers: { "Content-Type": "application/json", Accept: "application/json" },
		query: { views, picture: true, priority: "interactive" },
		signal,
	});
	const [{ status, classification, picture, error }] = results;
	if (status !== "ok") throw new ApiProblem(error);
	return { classification, picture: picture ? decoded(picture.data, picture.type) : null };
}

/** Turn base64 into what it stands for. */
export function decoded(base64, type) {
	return new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], { type });
}

/**
 * Say where a survey's picture of a position is.
 * @param {{ra: number, dec: number, survey?: string, radius?: number|null}} position Degrees; the radius in arcsec.
 */
export function cutout({ ra, dec, survey, radius }, { signal } = {}) {
	return request("cutout", { query: { ra, dec, survey, radius }, signal });
}

const once = new Map();

function kept(path) {
	if (!once.has(path)) {
		const answer = request(path);
		once.set(path, answer);
		// What failed is asked for again by the next who wants it.
		answer.catch(() => once.delete(path));
	}
	return once.get(path);
}

export function decisionTree() {
	return kept("decision-tree");
}

export function model() {
	return kept("model");
}

/**
 * Call, and where the service is full wait as long as it says and call again; not if that is long.
 * @template T
 */
export async function patiently(call, { signal, tries = 4, onWait = () => {} } = {}) {
	for (let tried = 1; ; tried += 1) {
		try {
			return await call();
		} catch (problem) {
			const seconds = problem.retryAfterSeconds ?? tried;
			if (!["overloaded", "not_ready", "rate_limited"].includes(problem.code) || tried >= tries || seconds > 30) throw problem;
			onWait(seconds);
			await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
			signal?.throwIfAborted();
		}
	}
}
