/** The ways in: drop, paste, choose, an address, a position on the sky, an example. */

import { part } from "./dom.js";

/** @typedef {import("./share.js").Source} Source */

/** Names of files that may be pictures, where a folder holds others too. */
const PICTURE = /\.(jpe?g|png)$/i;

/**
 * Read an angle in degrees, or in hours or degrees, minutes and seconds.
 * @param {string} text "202.47", "13:29:52.7", "13h29m52.7s", "+47 11 43"
 * @param {{hours: boolean}} unit Whether parts count from hours, as those of a right ascension.
 * @returns {number} Degrees; NaN if it is no angle.
 */
export function angle(text, { hours }) {
  const plain = text.trim().replace(/[−–]/g, "-").replace(/°$/, "");
  if (/^[+-]?\d+(\.\d*)?$/.test(plain)) return Number(plain);
  const parts = plain.match(/^([+-]?)(\d{1,3})[:hd°\s]+(\d{1,2})(?:[:m'′\s]+(\d{1,2}(?:\.\d*)?))?["″s'′m]*$/i);
  if (!parts || Number(parts[3]) >= 60 || Number(parts[4] ?? 0) >= 60) return Number.NaN;
  const whole = Number(parts[2]) + Number(parts[3]) / 60 + Number(parts[4] ?? 0) / 3600;
  // To the hundredth of a milliarcsecond, so that addresses stay short.
  return Number(((parts[1] === "-" ? -1 : 1) * whole * (hours && !/[d°]/i.test(plain) ? 15 : 1)).toFixed(8));
}

/**
 * Listen to all ways in.
 * @param {{onSource: (source: Source) => void, onFiles: (files: File[]) => void}} calls
 */
export function listen({ onSource, onFiles }) {
  const take = (/** @type {File[]} */ files) => {
    if (files.length === 1) onSource({ kind: "file", blob: files[0], name: files[0].name || "the pasted picture" });
    else if (files.length > 1) onFiles(files);
  };
  listenToDrops(take, onSource);
  listenToPastes(take, onSource);
  for (const id of ["file", "folder"]) {
    part(id).addEventListener("change", () => {
      const files = [...part(id).files];
      // The same files chosen again are to be a change again.
      part(id).value = "";
      take(id === "folder" ? pictures(files) : files);
    });
  }
  part("by-url").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    onSource({ kind: "url", url: part("url").value.trim() });
  });
  listenToPositions(onSource);
  part("examples").addEventListener("click", (/** @type {Event} */ event) => {
    const button = /** @type {HTMLElement} */ (event.target).closest("button[data-example]");
    if (button) onSource({ kind: "example", example: /** @type {HTMLElement} */ (button).dataset.example ?? "" });
  });
}

function listenToPositions(/** @type {(source: Source) => void} */ onSource) {
  const [ra, dec] = [part("ra"), part("dec")];
  const check = () => {
    const [right, up] = [angle(ra.value, { hours: true }), angle(dec.value, { hours: false })];
    ra.setCustomValidity(right >= 0 && right <= 360 ? "" : "Degrees from 0 to 360, such as 202.47, or hours, such as 13:29:52.7");
    dec.setCustomValidity(up >= -90 && up <= 90 ? "" : "Degrees from -90 to 90, such as 47.195, or +47:11:43");
    const radius = part("radius").value.trim();
    part("radius").setCustomValidity(!radius || (Number(radius) > 0 && Number(radius) <= 3600) ? "" : "Arcseconds, more than 0 and up to 3600, or nothing");
    return { ra: right, dec: up, radius: radius ? Number(radius) : null };
  };
  part("by-position").addEventListener("input", () => {
    // Both numbers are often copied together.
    const both = ra.value.match(/^\s*(\d+\.?\d*|\d+:\d+:\d+\.?\d*)[\s,;]+([+-−]?\d+\.?\d*|[+-−]?\d+:\d+:\d+\.?\d*)\s*$/);
    if (both && !dec.value) [ra.value, dec.value] = [both[1], both[2]];
    check();
  });
  part("by-position").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    onSource({ kind: "position", ...check(), survey: part("survey").value });
  });
  // So that a first empty submission says what is missing, and a wrong one what is wrong.
  part("by-position").querySelector("button").addEventListener("click", () => {
    if (ra.value && dec.value) check();
  });
}

function listenToPastes(/** @type {(files: File[]) => void} */ take, /** @type {(source: Source) => void} */ onSource) {
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    const text = event.clipboardData?.getData("text/plain").trim() ?? "";
    const typing = event.target instanceof Element && event.target.closest("input, textarea, select, dialog");
    if (files.length) take(files);
    else if (!typing && /^https?:\/\/\S+$/i.test(text)) onSource({ kind: "url", url: text });
    else return;
    event.preventDefault();
  });
}

function listenToDrops(/** @type {(files: File[]) => void} */ take, /** @type {(source: Source) => void} */ onSource) {
  // Entering a child fires before leaving its parent, so that they are counted.
  let inside = 0;
  const mark = (/** @type {number} */ change) => {
    inside = Math.max(0, inside + change);
    document.body.classList.toggle("dragging", inside > 0);
  };
  document.addEventListener("dragenter", () => mark(1));
  document.addEventListener("dragleave", () => mark(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    mark(-inside);
    const text = event.dataTransfer?.getData("text/uri-list").split("\n")[0].trim();
    const files = await dropped(event.dataTransfer);
    if (files.length) take(files);
    else if (text && /^https?:/i.test(text)) onSource({ kind: "url", url: text });
  });
}

/** All files that were dropped, those in folders too. */
async function dropped(/** @type {DataTransfer|null} */ transfer) {
  // Entries have to be asked for before anything is waited for; folders have no other way.
  const entries = [...(transfer?.items ?? [])].map((item) => item.webkitGetAsEntry?.() ?? null);
  const plain = [...(transfer?.files ?? [])];
  if (!entries.some((entry) => entry?.isDirectory)) return plain;
  const found = await Promise.all(entries.map((entry) => (entry ? within(entry) : [])));
  return pictures(found.flat());
}

/** @returns {Promise<File[]>} */
async function within(/** @type {any} */ entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const all = [];
  for (;;) {
    // It gives a hundred or so at a time.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    all.push(...some);
  }
  return (await Promise.all(all.map(within))).flat();
}

function pictures(/** @type {File[]} */ files) {
  return files.filter(({ name }) => PICTURE.test(name)).sort((one, other) => one.name.localeCompare(other.name));
}
