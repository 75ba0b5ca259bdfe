/** The ways in: drop, paste, choose, an address, a position on the sky, an example. */

import { part } from "./dom.js";

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

/** Listen to all ways in. */
export function listen({ onSource, onFiles }) {
	const take = (files) => {
		if (files.length === 1) onSource({ kind: "file", blob: files[0], name: files[0].name || "the pasted picture" });
		else onFiles(files);
	};
	listenToDrops(take, onSource);
	listenToPastes(take, onSource);
	for (const id of ["file", "folder"]) {
		part(id).addEventListener("change", () => {
			const files = [...part(id).files];
			// The same files chosen again are to be a change again.
			part(id).value = "";
			if (files.length) take(id === "folder" ? pictures(files) : files);
		});
	}
	part("by-url").addEventListener("submit", (event) => {
		event.preventDefault();
		onSource({ kind: "url", url: part("url").value.trim() });
	});
	listenToPositions(onSource);
	part("examples").addEventListener("click", (event) => {
		const button = event.target.closest("button[data-example]");
		if (button) onSource({ kind: "example", example: button.dataset.example });
	});
}

function listenToPositions(onSource) {
	const [form, ra, dec, radius] = ["by-position", "ra", "dec", "radius"].map(part);
	const check = () => {
		const at = { ra: angle(ra.value, { hours: true }), dec: angle(dec.value, { hours: false }), radius: Number(radius.value) || null };
		ra.setCustomValidity(at.ra >= 0 && at.ra <= 360 ? "" : "Degrees from 0 to 360, such as 202.47, or hours, such as 13:29:52.7");
		dec.setCustomValidity(at.dec >= -90 && at.dec <= 90 ? "" : "Degrees from -90 to 90, such as 47.195, or +47:11:43");
		radius.setCustomValidity(!radius.value || (at.radius > 0 && at.radius <= 3600) ? "" : "Arcseconds, up to 3600, or nothing");
		return at;
	};
	form.addEventListener("input", () => {
		// Both are often copied together.
		const both = ra.value.match(/^\s*([\d:.]+)[\s,;]+([+−-]?[\d:.]{3,})\s*$/);
		if (both && !dec.value) [ra.value, dec.value] = [both[1], both[2]];
		check();
	});
	form.addEventListener("submit", (event) => {
		event.preventDefault();
		onSource({ kind: "position", ...check(), survey: part("survey").value });
	});
}

function listenToPastes(take, onSource) {
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

function listenToDrops(take, onSource) {
	// Entering a child fires before leaving its parent, so that they are counted.
	let inside = 0;
	const mark = (change) => {
		inside = Math.max(0, inside + change);
		document.body.classList.toggle("dragging", inside > 0);
	};
	document.addEventListener("dragenter", () => mark(1));
	document.addEventListener("dragleave", () => mark(-1));
	document.addEventListener("dragover", (event) => event.preventDefault());
	document.addEventListener("drop", async (event) => {
		event.preventDefault();
		mark(-inside);
		const url = event.dataTransfer.getData("text/uri-list").split("\n")[0].trim();
		const files = dropped(event.dataTransfer);
		if (files) take(await files);
		else if (/^https?:/i.test(url)) onSource({ kind: "url", url });
	});
}

/** All files that were dropped, those in folders too; null if there are none. */
function dropped({ items, files }) {
	if (!files.length) return null;
	// Entries have to be asked for before anything is waited for; folders have no other way.
	const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
	if (!entries.some(({ isDirectory }) => isDirectory)) return [...files];
	return Promise.all(entries.map(within)).then((found) => pictures(found.flat()));
}

async function within(entry) {
	if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
	const reader = entry.createReader();
	const all = [];
	for (;;) {
		// It gives a hundred or so at a time.
		const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
		if (!some.length) return (await Promise.all(all.map(within))).flat();
		all.push(...some);
	}
}

function pictures(files) {
	return files.filter(({ name }) => PICTURE.test(name)).sort((one, other) => one.name.localeCompare(other.name));
}
