/** Elements made without markup, so that no data is ever read as such. */

/** @typedef {Record<string, string|number|boolean|null|undefined>} Attributes False, null and undefined leave one out. */

function filled(element, attributes, children) {
	for (const [name, value] of Object.entries(attributes)) {
		if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
	}
	element.append(...children.filter((child) => child || child === ""));
	return element;
}

/** Make an HTML element. */
export function html(name, attributes, ...children) {
	return filled(document.createElement(name), attributes, children);
}

/** Make an SVG element. */
export function svg(name, attributes, ...children) {
	return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

/** The element of this id, which the page has. */
export function part(id) {
	return document.getElementById(id);
}
