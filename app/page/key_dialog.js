/** Asking for the key of a service that wants one. */

import { part } from "./dom.js";

/**
 * @param {boolean} refused Whether a key was shown and not accepted.
 * @returns {Promise<string|null>} Null if the user gives up.
 */
export function askForKey(refused) {
	const [dialog, field] = [part("key"), part("key-field")];
	part("key-refused").hidden = !refused;
	field.value = dialog.returnValue = "";
	dialog.showModal();
	const chosen = () => (dialog.returnValue === "use" ? field.value.trim() : null);
	return new Promise((resolve) => dialog.addEventListener("close", () => resolve(chosen()), { once: true }));
}
