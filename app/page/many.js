/** The gallery, which is loaded only when there are many galaxies, so that the page doesn't wait for it. */

import { html } from "./dom.js";

/** @returns {Promise<{openGallery: Function}>} */
export async function loadGallery() {
  const [gallery] = await Promise.all([import("./gallery.js"), stylesheet(new URL("gallery.css", import.meta.url).href)]);
  return gallery;
}

/** @returns {Promise<void>} */
function stylesheet(/** @type {string} */ href) {
  if ([...document.styleSheets].some((sheet) => sheet.href === href)) return Promise.resolve();
  const link = html("link", { rel: "stylesheet", href });
  return new Promise((resolve, reject) => {
    link.addEventListener("load", () => resolve());
    link.addEventListener("error", () => {
      link.remove();
      reject(new Error("no stylesheet"));
    });
    document.head.append(link);
  });
}
