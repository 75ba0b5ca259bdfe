/**
 * The service's public API, as anyone may call it. Nothing here touches the page.
 *
 * @typedef {object} AnswerScore
 * @property {string} id
 * @property {string} label
 * @property {number} score
 * @property {number} fraction
 * @property {number} [uncertainty]
 * @property {number} [uncertainty_95]
 *
 * @typedef {object} Classification What `POST /classify` answers; see `GET /docs`.
 * @property {{name: string, version: string, tree: string}} model
 * @property {{sha256: string, format: string, width: number, height: number}} image
 * @property {number} views
 * @property {Record<string, number>} scores
 * @property {Record<string, number>} [uncertainty]
 * @property {number} [out_of_domain]
 * @property {{id: string, text: string, weight: number, answers: AnswerScore[]}[]} [questions]
 * @property {string[]} [path] The answers of the likeliest path.
 * @property {string} [summary]
 * @property {Explanation} [explanation]
 *
 * @typedef {object} Explanation Where the network found evidence for an answer.
 * @property {string} answer
 * @property {string} png Base64 of a grey picture; white is the strongest.
 * @property {{left: number, top: number, width: number, height: number}} box In pixels of the image.
 *
 * @typedef {object} Tree What `GET /decision-tree` answers.
 * @property {string} name
 * @property {string} title
 * @property {string} voters
 * @property {{id: string, text: string, topic: string, adds_up_to: number|string,
 *             answers: {id: string, label: string, next: string}[]}[]} questions
 */

/** Where the service is: the folder above this file's, so that a prefix of a proxy is kept. */
const ROOT = new URL("../", import.meta.url);
const KEY = "galaxytree-key";

/** An answer that is a problem, or none at all (code `unreachable`). */
export class ApiProblem extends Error {
  /**
   * @param {{status: number, code: string, detail: string, retryAfterSeconds?: number|null}} what
   */
  constructor({ status, code, detail, retryAfterSeconds = null }) {
    super(detail);
    this.name = "ApiProblem";
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** @type {(refused: boolean) => Promise<string|null>} */
let askForKey = async () => null;
/** @type {Promise<string|null>|null} */
let asking = null;

/**
 * Say how the user is asked for a key where the service wants one.
 * @param {(refused: boolean) => Promise<string|null>} ask Gets whether a key was refused; null gives up.
 */
export function onKeyWanted(ask) {
  askForKey = ask;
}

/** Ask once, however many requests were refused at a time. */
async function newKey(/** @type {string|null} */ used) {
  const kept = sessionStorage.getItem(KEY);
  if (kept !== used) return kept;
  asking ??= askForKey(used !== null).finally(() => (asking = null));
  const key = await asking;
  if (key) sessionStorage.setItem(KEY, key);
  return key;
}

/** A header holds bytes; the service compares those of UTF-8. */
function bearer(/** @type {string} */ key) {
  return `Bearer ${String.fromCharCode(...new TextEncoder().encode(key))}`;
}

async function problemOf(/** @type {Response} */ response) {
  const seconds = Number.parseFloat(response.headers.get("Retry-After") ?? "");
  const retryAfterSeconds = Number.isFinite(seconds) ? seconds : null;
  let told = { code: "unknown", detail: `The service answered ${response.status} ${response.statusText}`.trim() };
  try {
    told = { ...told, ...(await response.json()) };
  } catch {
    // Something between here and the service answered in its own words.
  }
  return new ApiProblem({ ...told, status: response.status, retryAfterSeconds });
}

/**
 * @param {string} path
 * @param {RequestInit & {query?: Record<string, unknown>}} [options]
 * @returns {Promise<any>}
 */
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
      response = await fetch(url, { ...options, headers, credentials: "same-origin" });
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

/**
 * Score one picture.
 * @param {Blob} blob Its bytes.
 * @param {{views?: number, explain?: string, detail?: string, priority?: string, signal?: AbortSignal}} [options]
 * @returns {Promise<Classification>}
 * @throws {ApiProblem}
 */
export function classify(blob, { views, explain, detail, priority, signal } = {}) {
  const headers = { "Content-Type": blob.type || "application/octet-stream" };
  return request("classify", { method: "POST", body: blob, headers, query: { views, explain, detail, priority }, signal });
}

/**
 * Have the service fetch a picture and score it.
 * @param {string} url
 * @param {{views?: number, signal?: AbortSignal}} [options]
 * @returns {Promise<{classification: Classification, picture: Blob|null}>} With the bytes that were looked at.
 * @throws {ApiProblem}
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

/**
 * Turn base64 into what it stands for.
 * @param {string} base64
 * @param {string} type
 */
export function decoded(base64, type) {
  return new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], { type });
}

/**
 * Say where a survey's picture of a position is.
 * @param {{ra: number, dec: number, survey?: string, radius?: number|null}} position Degrees; the radius in arcsec.
 * @param {{signal?: AbortSignal}} [options]
 * @returns {Promise<{url: string, survey: string, warning: string|null}>}
 */
export function cutout({ ra, dec, survey, radius }, { signal } = {}) {
  return request("cutout", { query: { ra, dec, survey, radius }, signal });
}

/** @type {Map<string, Promise<any>>} */
const once = new Map();

function kept(/** @type {string} */ path) {
  if (!once.has(path)) {
    once.set(path, request(path));
    // What failed is asked for again by the next who wants it.
    once.get(path)?.catch(() => once.delete(path));
  }
  return /** @type {Promise<any>} */ (once.get(path));
}

/** @returns {Promise<Tree>} */
export function decisionTree() {
  return kept("decision-tree");
}

/** @returns {Promise<{name: string, version: string, outputs: string[], default_views: number}>} */
export function model() {
  return kept("model");
}

/**
 * Call, and where the service is full wait as long as it says and call again.
 * @template T
 * @param {() => Promise<T>} call
 * @param {{signal?: AbortSignal, tries?: number, onWait?: (seconds: number) => void}} [options]
 * @returns {Promise<T>}
 */
export async function patiently(call, { signal, tries = 4, onWait = () => {} } = {}) {
  for (let tried = 1; ; tried += 1) {
    try {
      return await call();
    } catch (problem) {
      const full = problem instanceof ApiProblem && ["overloaded", "not_ready"].includes(problem.code);
      if (!full || tried >= tries) throw problem;
      const seconds = Math.min(problem.retryAfterSeconds ?? tried, 30);
      onWait(seconds);
      await pause(seconds, signal);
    }
  }
}

/** @returns {Promise<void>} */
function pause(/** @type {number} */ seconds, /** @type {AbortSignal|undefined} */ signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
