/** The gallery, which is loaded only when there are many galaxies, so that the page doesn't wait for it. */

import { html } from "./dom.js";

export async function loadGallery() {
	const [gallery] = await Promise.all([import("./gallery.js"), stylesheet(new URL("gallery.css", import.meta.url).href)]);
	return gallery;
}

async function stylesheet(href) {
	if ([...document.styleSheets].some((sheet) => sheet.href === href)) return;
	const link = html("link", { rel: "stylesheet", href });
	const loaded = new Promise((resolve, reject) => {
		link.addEventListener("load", resolve);
		link.addEventListener("error", reject);
	});
	document.head.append(link);
	await loaded;
}
