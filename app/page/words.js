/** What the page says: of problems, of numbers, and of questions. */

const WAIT = "Wait a minute, then try again.";
const SMALLER = "Cut it down to the galaxy, or save it smaller: 424 pixels a side are enough.";
const OLDER = ["This service does not do that.", "It may be older than this page. Load the page again."];

/** By the service's code: what happened, and what to do; the service's own words where there is none. */
const WORDS = {
	unauthorized: ["This service asks for a key.", "Ask whoever runs it for one, then try again."],
	forbidden: ["Your key may not do this.", "Ask whoever runs the service for one that may."],
	rate_limited: ["Your key's allowance is used up for now.", WAIT],
	unknown_model: ["There is no such network here.", "Load the page again."],
	wrong_host: ["The service is not known by this address.", "Ask whoever runs it for the right one."],
	body_timeout: ["The picture took too long to arrive.", "Check your connection, then try again, perhaps with a smaller picture."],
	payload_too_large: ["The file is too large.", SMALLER],
	unsupported_media_type: ["This kind of picture can't be read here.", "Save it as JPEG or PNG, then try again."],
	invalid_request: ["The service did not understand the request."],
	too_many_pixels: ["The picture has too many pixels.", SMALLER],
	undecodable_image: ["That is not a picture that can be read.", "Choose a whole JPEG or PNG file. If it is one, it may be damaged: save or download it again."],
	url_forbidden: ["The service does not fetch pictures from that address.", "Save the picture to your computer, then drop the file here."],
	overloaded: ["The service has too much to do just now.", WAIT],
	internal_error: ["Something went wrong in the service.", "It is not your picture's fault. Try again; if it stays so, tell whoever runs the service."],
	fetch_failed: ["No picture could be had from there.", "Does the survey cover the position? Does the address open in a new tab? A picture saved from there can be dropped here."],
	deadline_exceeded: ["The service was too busy to answer in time.", WAIT],
	not_ready: ["The service is starting, stopping or full.", WAIT],
	fetch_timeout: ["The picture's host took too long to answer.", "Try again in a minute, or save the picture and drop the file here."],
	not_found: OLDER,
	method_not_allowed: OLDER,
	not_explainable: ["This network can't show where it looked.", "Its scores are not touched by that."],
	unreachable: ["The service does not answer.", "Check your connection, and that the service is still running, then try again."],
};

/** Say what went wrong, in words that a student understands, and what to do. */
export function wordsOf(problem) {
	const [what, advice] = WORDS[problem.code] ?? [];
	return { what: what ?? "That did not work.", advice: advice ?? problem.detail ?? "Try again." };
}

/** Whether the same may work when it is tried again. */
export function passing({ status = 0, code = "" }) {
	return status >= 500 || [401, 408, 429].includes(status) || code === "unreachable";
}

/** A part of the whole as a percentage: "24%", "<1%". */
export function percent(part) {
	if (part > 0 && part < 0.005) return "<1%";
	if (part < 1 && part >= 0.995) return ">99%";
	return `${Math.round(100 * part)}%`;
}

/** A score as the table has it. */
export function decimals(number) {
	return number === undefined ? "–" : number.toFixed(3);
}

/** A question in a few words, from what its votes are split on: "Spiral arms", "Seen edge-on?". */
export function heading({ topic }) {
	const asked = topic.match(/^whether (?:it|anything) (?:is |has )?(.+)$/);
	const words = asked ? `${asked[1]}?` : topic.replace(/^the /, "");
	return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * Break words into lines.
 * @param {number} letters How many fit in a line.
 */
export function lines(text, letters) {
	const broken = [];
	for (const word of text.split(" ")) {
		const last = broken.at(-1);
		if (last !== undefined && last.length + 1 + word.length <= letters) broken[broken.length - 1] = `${last} ${word}`;
		else broken.push(word);
	}
	return broken;
}
