/** The picture that is looked at. */

import { nameOf } from "./share.js";
export const image = document.querySelector("#picture img");

/** Show a picture in its own shape within the square that is kept for it; none if the browser can't. */
export async function showPicture(blob, source) {
	URL.revokeObjectURL(image.src);
	image.hidden = true;
	image.removeAttribute("src");
	if (!blob) return;
	const src = URL.createObjectURL(blob);
	image.src = src;
	image.alt = `What was looked at: ${nameOf(source)}`;
	try {
		await image.decode();
	} catch {
		// No picture, or of a kind that this browser doesn't show; the service says what is wrong with it.
		return;
	}
	// Another was shown meanwhile, or none is to be any more.
	if (image.src !== src) return;
	const { naturalWidth: width, naturalHeight: height, parentElement: fit } = image;
	fit.style.width = `${100 * Math.min(1, width / height)}%`;
	fit.style.height = `${100 * Math.min(1, height / width)}%`;
	image.hidden = false;
}
