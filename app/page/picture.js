/** The picture that is looked at. */

import { nameOf } from "./share.js";
export const image = document.querySelector("#picture img");

/** Show a picture in its own shape within the square that is kept for it; none if the browser can't. */
export async function showPicture(blob, source) {
	URL.revokeObjectURL(image.src);
	image.hidden = true;
	if (!blob) return;
	image.src = URL.createObjectURL(blob);
	image.alt = `What was looked at: ${nameOf(source)}`;
	try {
		await image.decode();
	} catch {
		// No picture, or of a kind that this browser doesn't show; the service says what is wrong with it.
		return;
	}
	const { naturalWidth: width, naturalHeight: height, parentElement: fit } = image;
	fit.style.width = `${100 * Math.min(1, width / height)}%`;
	fit.style.height = `${100 * Math.min(1, height / width)}%`;
	image.hidden = false;
}
